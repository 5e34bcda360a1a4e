import { type ChildProcess, fork } from 'node:child_process'
import { afterAll } from 'vitest'
import { compiledFile } from '../../src/package-folder.ts'
import { killNow, until } from './processes.ts'
import type { SubmitPlan, SubmitReport } from './submit-entry.ts'

const entry = compiledFile('test/support/submit-entry.ts')
const everyProcess: ChildProcess[] = []

type Plan = Omit<SubmitPlan, 'queuePrefix'>

/** Starts a process that submits, and does not wait for it. */
export function spawnSubmitProcess(plan: Plan): { process: ChildProcess; reports: SubmitReport[] } {
  const whole: SubmitPlan = { ...plan, queuePrefix: new URL(plan.databaseUrl).pathname.slice(1) }
  const child = fork(entry, [JSON.stringify(whole)], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  everyProcess.push(child)
  const reports: SubmitReport[] = []
  child.on('message', (report: SubmitReport) => reports.push(report))
  return { process: child, reports }
}

/**
 * Starts a process that submits, and waits until it has committed the row (where it is to wait there) or enqueued.
 * @returns the process and, where it got so far, the run's id
 */
export async function startSubmitProcess(plan: Plan): Promise<{ process: ChildProcess; runId: string | null }> {
  const { process: child, reports } = spawnSubmitProcess(plan)
  const far = (report: SubmitReport) => (plan.waitBeforeEnqueue ? report === 'committed' : report !== 'committed')
  await until('it has submitted', () => child.exitCode !== null || reports.some(far))
  const last = reports.find(far)
  if (last === undefined) throw new Error(`the submitting process ended with ${child.exitCode}`)
  return { process: child, runId: last === 'committed' ? null : last.runId }
}

afterAll(async () => {
  for (const child of everyProcess) await killNow(child)
})
