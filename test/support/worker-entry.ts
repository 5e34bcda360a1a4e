import { setTimeout as sleep } from 'node:timers/promises'
import { type Config, readConfig } from '../../src/config.ts'
import type { Device } from '../../src/jobs/glossary.ts'
import { runWorkerProcess } from '../../src/workers/main.ts'
import type { RunStore } from '../../src/workers/run-store.ts'

/**
 * Points of an execution at which a worker can be made to wait, so that something can be killed just there. In a trial
 * it waits for nothing: the child times trial after trial, and only what comes after the last of them must wait.
 */
export type Moment = 'enqueued' | 'loading' | 'in a trial' | 'between two writes' | 'before the end' | 'after the end'

export interface WorkerPlan {
  databaseUrl: string
  machineId: string
  devices: Device[]
  /** null: this machine's */
  hostname: string | null
  queuePrefix: string
  childArguments: string[]
  config: Partial<Config>
}

/** From the harness: where to wait next (null: nowhere), and to go on. */
export type WorkerOrder = { waitAt: Moment | null } | 'go on'
/** To the harness. */
export type WorkerReport = { ready: true } | { at: Moment }

let waitAt: Moment | null = null
let goOn: () => void = () => undefined

process.on('message', (order: WorkerOrder) => {
  if (order === 'go on') goOn()
  else waitAt = order.waitAt
})
process.on('disconnect', () => process.exit(1))

const report = (message: WorkerReport) => process.send?.(message)

async function at(moment: Moment): Promise<void> {
  if (moment === waitAt) await stay(moment)
}

async function stay(moment: Moment): Promise<void> {
  waitAt = null
  const gone = new Promise<void>((resolve) => {
    goOn = resolve
  })
  report({ at: moment })
  await gone
}

/** While the worker is in a trial, ends when it is to go on. */
let trialsOver = Promise.resolve()

/**
 * Whoever asked is told at a random moment of the quarter second in which a child whose message was answered says
 * nothing and times trials.
 */
async function stayInTrials(): Promise<void> {
  waitAt = null
  await sleep(150 * Math.random())
  await stay('in a trial')
}

/** Whether a message tells of a block with at least half of its test still to come. */
function isEarlyBlock(message: string): boolean {
  const [, block, blocks] = /: block (\d+) of (\d+)$/.exec(message) ?? []
  return Number(block) < Number(blocks) / 2
}

function wrapStore(store: RunStore): RunStore {
  let writes = 0
  return {
    ...store,
    async take(runId) {
      await at('enqueued')
      writes = 0
      return store.take(runId)
    },
    async completeSubjects(guard, rows) {
      await at('loading')
      return store.completeSubjects(guard, rows)
    },
    async addProgress(guard, fraction, message) {
      const isBlock = /: block \d/.test(message)
      if (!isBlock) await trialsOver
      const stored = await store.addProgress(guard, fraction, message)
      // Not awaited: this write is answered, and the child goes on.
      if (waitAt === 'in a trial' && isEarlyBlock(message)) trialsOver = stayInTrials()
      return stored
    },
    async insertSeries(guard, rows) {
      writes++
      await trialsOver
      if (writes === 3) await at('between two writes')
      return store.insertSeries(guard, rows)
    },
    async insertHeads(guard, batch) {
      writes++
      if (writes === 3) await at('between two writes')
      return store.insertHeads(guard, batch)
    },
    async finish(guard, result, log) {
      await at('before the end')
      const finished = await store.finish(guard, result, log)
      await at('after the end')
      return finished
    },
  }
}

const plan: WorkerPlan = JSON.parse(process.argv[2] ?? '')
const { databaseUrl, machineId, devices, hostname, queuePrefix, childArguments } = plan
const config: Config = { ...readConfig({}), logLevel: 'debug', ...plan.config }
const parts = { machineId, devices, queuePrefix, childArguments, wrapStore }
await runWorkerProcess(config, databaseUrl, hostname === null ? parts : { ...parts, hostname })
report({ ready: true })
