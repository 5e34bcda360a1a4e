import { type Config, readConfig } from '../../src/config.ts'
import type { Device } from '../../src/jobs/glossary.ts'
import { runWorkerProcess } from '../../src/workers/main.ts'
import type { RunStore } from '../../src/workers/run-store.ts'

/** Points of an execution at which a worker can be made to wait, so that something can be killed just there. */
export type Moment = 'enqueued' | 'loading' | 'in a trial' | 'between two writes' | 'before the end' | 'after the end'

export interface WorkerPlan {
  databaseUrl: string
  machineId: string
  devices: Device[]
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
  if (moment !== waitAt) return
  waitAt = null
  const gone = new Promise<void>((resolve) => {
    goOn = resolve
  })
  report({ at: moment })
  await gone
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
      if (/: block \d/.test(message)) await at('in a trial')
      return store.addProgress(guard, fraction, message)
    },
    async insertSeries(guard, rows) {
      writes++
      if (writes === 3) await at('between two writes')
      return store.insertSeries(guard, rows)
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
const { databaseUrl, machineId, devices, queuePrefix, childArguments } = plan
const config: Config = { ...readConfig({}), logLevel: 'debug', ...plan.config }
await runWorkerProcess(config, databaseUrl, { machineId, devices, queuePrefix, childArguments, wrapStore })
report({ ready: true })
