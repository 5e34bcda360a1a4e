import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../src/config.ts'
import { AppError, type ErrorRecord } from '../src/errors.ts'
import type { AttentionMapsSpecInput } from '../src/jobs/spec.ts'
import { parseSpec } from '../src/jobs/spec.ts'
import { createLogger } from '../src/log.ts'
import { execute } from '../src/workers/execution.ts'
import type { RunStore } from '../src/workers/run-store.ts'

const pollMs = 50

/**
 * The greatest resident set (VmHWM) of the child that captures attention. Its parent takes every row and throws it away:
 * what a child holds hangs on how much is on its way, two batches at most, and not on who stores it.
 * @returns bytes; null where the system does not tell
 */
export async function peakOfCapture(
  spec: AttentionMapsSpecInput,
  config: Config,
  signal: AbortSignal,
): Promise<number | null> {
  const ended: { error: ErrorRecord | null } = { error: null }
  const yes = () => Promise.resolve(true)
  const store: RunStore = {
    ...{ take: () => Promise.resolve(null), isMine: yes, addProgress: yes, completeSubjects: yes },
    ...{ insertSeries: yes, insertHeads: yes, handBack: yes },
    finish: (_guard, result) => {
      if ('error' in result) ended.error = result.error
      return Promise.resolve(true)
    },
  }
  let peak: number | null = null
  let running = true
  const watching = (async () => {
    while (running) {
      for (const child of childrenOf(process.pid)) peak = Math.max(peak ?? 0, highWater(child) ?? 0) || peak
      await sleep(pollMs)
    }
  })()
  try {
    const context = { store, config, logger: createLogger('worker', 'error'), signal, onRun: () => () => undefined }
    await execute({ runId: 'bench:heads', attempt: 1 }, parseSpec(spec), context)
  } finally {
    running = false
    await watching
  }
  signal.throwIfAborted()
  if (ended.error !== null) throw new AppError(ended.error.code, ended.error.message, ended.error.hint)
  return peak
}

function childrenOf(parent: number): number[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name)
    // The fourth field, after a name in brackets that may hold anything.
    const fields = pid ? read(`/proc/${pid}/stat`)?.split(') ').at(-1)?.split(' ') : undefined
    return Number(fields?.[1]) === parent ? [pid] : []
  })
}

function highWater(pid: number): number | null {
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1]
  return kilobytes === undefined ? null : Number(kilobytes) * 1024
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
