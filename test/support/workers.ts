import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { afterAll } from 'vitest'
import type { Config } from '../../src/config.ts'
import { compiledFile } from '../../src/package-folder.ts'
import { isAlive, killNow, until } from './processes.ts'
import type { Moment, WorkerOrder, WorkerPlan, WorkerReport } from './worker-entry.ts'

/** Short intervals, so that a dead worker is found within three seconds. */
export const hasty: Partial<Config> = { queueLockMs: 2500, queueCheckMs: 500, sweepMs: 300, heartbeatMs: 300 }

export interface TestWorker {
  readonly process: ChildProcess
  /** pids of the children of its executions, in order */
  readonly children: number[]
  log(): string
  /** Makes the worker wait at the next such moment; null: nowhere. */
  waitAt(moment: Moment | null): void
  /** Resolves when it waits there. */
  reached(moment: Moment): Promise<void>
  goOn(): void
  kill(): Promise<void>
  /** SIGTERM; resolves with the exit code. */
  terminate(): Promise<number | null>
}

const entry = compiledFile('test/support/worker-entry.ts')
const everyWorker: TestWorker[] = []
const crashes: string[] = []

/** Starts a worker process and waits until it takes runs. Whatever is left of it is killed after the file's tests. */
export async function startTestWorker(
  plan: Partial<WorkerPlan> & Pick<WorkerPlan, 'databaseUrl'>,
): Promise<TestWorker> {
  const whole: WorkerPlan = {
    machineId: `machine of ${plan.databaseUrl}`,
    devices: ['CPU'],
    hostname: null,
    queuePrefix: new URL(plan.databaseUrl).pathname.slice(1),
    childArguments: [],
    ...plan,
    config: { ...hasty, ...plan.config },
  }
  const child = fork(entry, [JSON.stringify(whole)], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const children: number[] = []
  let log = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    log += chunk
    for (const [, pid] of String(chunk).matchAll(/"child":(\d+)/g)) children.push(Number(pid))
  })
  const reports: WorkerReport[] = []
  let asked = false
  child.once('exit', (code, signal) => {
    if (!asked) crashes.push(`a worker ended by itself with ${code ?? signal}:\n${log.slice(-4000)}`)
  })
  child.on('message', (report: WorkerReport) => reports.push(report))
  const send = (order: WorkerOrder) => child.send(order, () => undefined)
  const ended = () => child.exitCode !== null || child.signalCode !== null
  const reported = async (what: string, wanted: (report: WorkerReport) => boolean) => {
    await until(what, () => ended() || reports.some(wanted))
    if (!reports.some(wanted)) throw new Error(`${what}: it ended (${child.exitCode ?? child.signalCode})\n${log}`)
  }
  const worker: TestWorker = {
    process: child,
    children,
    log: () => log,
    waitAt: (moment) => {
      reports.length = 0
      send({ waitAt: moment })
    },
    reached: (moment) => reported(`the worker waits ${moment}`, (report) => 'at' in report && report.at === moment),
    goOn: () => send('go on'),
    async kill() {
      asked = true
      await killNow(child)
    },
    async terminate() {
      asked = true
      child.kill('SIGTERM')
      if (!ended()) await once(child, 'exit')
      return child.exitCode
    },
  }
  everyWorker.push(worker)
  await reported('the worker is ready', (report) => 'ready' in report)
  return worker
}

afterAll(async () => {
  for (const { kill, children } of everyWorker) {
    await kill()
    for (const pid of children) await until(`child ${pid} is gone`, () => !isAlive(pid), 5000)
  }
  // Whatever is killed around it, a worker itself goes on.
  if (crashes.length > 0) throw new Error(crashes.join('\n'))
})
