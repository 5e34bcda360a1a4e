import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export const testRunVariable = 'KVSCOPE_TEST_RUN'

export interface LeakedProcess {
  pid: number
  command: string
}

/**
 * Processes that carry the mark of this test run and still live `patienceMs` after its end; helpers of processes that
 * have just been ended need a moment themselves. Linux only: elsewhere nothing is found.
 */
export async function findLeakedProcesses(runId: string, patienceMs: number): Promise<LeakedProcess[]> {
  const deadline = Date.now() + patienceMs
  for (;;) {
    const found = markedProcesses(runId)
    if (found.length === 0 || Date.now() > deadline) return found
    await sleep(50)
  }
}

function markedProcesses(runId: string): LeakedProcess[] {
  const mark = `${testRunVariable}=${runId}`
  const pids = attempt(() => readdirSync('/proc'), [])
    .map(Number)
    .filter(Boolean)
  return pids.flatMap((pid) => {
    if (pid === process.pid || isOurOwn(pid)) return []
    const environment = attempt(() => readFileSync(`/proc/${pid}/environ`, 'utf8'), '').split('\0')
    if (!environment.includes(mark)) return []
    // A zombie has no executable any more.
    if (attempt(() => readlinkSync(`/proc/${pid}/exe`), '') === '') return []
    return [{ pid, command: commandLine(pid) }]
  })
}

/** The runner's workers and its compiler, which it ends by itself after the global teardown. */
function isOurOwn(pid: number): boolean {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, 'utf8'), '')
  const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  return parent === process.pid && /vitest|esbuild|rolldown/.test(commandLine(pid))
}

function commandLine(pid: number): string {
  return attempt(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'), '')
    .split('\0')
    .join(' ')
    .trim()
}

function attempt<T>(action: () => T, otherwise: T): T {
  try {
    return action()
  } catch {
    return otherwise
  }
}
