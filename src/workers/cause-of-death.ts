import { AppError, type ErrorRecord, toErrorRecord } from '../errors.ts'

/** How a child ended that sent neither an outcome nor an error. */
export interface Death {
  /** exit code; null when a signal ended it */
  code: number | null
  signal: NodeJS.Signals | null
  /** the limit that the parent enforced with SIGKILL; null when the child ended by itself */
  timedOutAfterMs: number | null
  /** kills for memory that the kernel counted in our control group meanwhile */
  oomKills: number
  /** the last lines that it printed */
  log: string | null
}

const smallerModel =
  'Run fewer or smaller subjects, shorter tests or a smaller batch, or give the machine or container more memory.'

/** V8's last words when the JavaScript heap is full; it then ends the process with SIGABRT or a trap. */
const heapAbort = /JavaScript heap out of memory|(?:Ineffective mark-compacts|Allocation failed).*heap limit/

/** What onnxruntime, the C++ library and V8 say when an allocation fails and the process lives on to tell. */
const failedAllocation =
  /bad[_ ]alloc|Failed to allocate memory|Array buffer allocation failed|Cannot allocate memory|out of memory|CUBLAS_STATUS_ALLOC_FAILED/i

/**
 * The error of a run whose child died. SIGKILL alone does not tell the kernel's out-of-memory killer from anybody
 * else's `kill -9`, so OUT_OF_MEMORY needs V8's own words or a rise of the control group's count.
 */
export function causeOfDeath({ code, signal, timedOutAfterMs, oomKills, log }: Death): ErrorRecord {
  if (timedOutAfterMs !== null) {
    return {
      code: 'TIMED_OUT',
      message: `The run took longer than ${timedOutAfterMs / 1000} s and was stopped.`,
      hint: 'Ask for fewer blocks, set maxSeconds, or raise KVSCOPE_RUN_TIMEOUT_SECONDS.',
    }
  }
  if (heapAbort.test(log ?? '')) {
    return {
      code: 'OUT_OF_MEMORY',
      message: 'The process that ran the model used up its JavaScript heap.',
      hint: `${smallerModel} NODE_OPTIONS=--max-old-space-size raises the limit of the heap alone.`,
    }
  }
  if (signal === 'SIGKILL' && oomKills > 0) {
    return {
      code: 'OUT_OF_MEMORY',
      message: 'The kernel killed the process that ran the model because memory had run out (oom_kill rose).',
      hint: smallerModel,
    }
  }
  const how = signal === null ? `exit code ${code}` : `signal ${signal}`
  return {
    code: 'WORKER_CRASHED',
    message: `The process that ran the model ended by ${how} without a result.`,
    hint: 'The log holds its last lines. Retry the run; if it ends the same way, try one subject at a time to find which.',
  }
}

/** The error of a child that is still able to say what went wrong. */
export function describeFailure(error: unknown): ErrorRecord {
  if (error instanceof AppError) return toErrorRecord(error)
  const message = error instanceof Error ? error.message : String(error)
  if (failedAllocation.test(message)) {
    return { code: 'OUT_OF_MEMORY', message: `An allocation failed: ${message}`, hint: smallerModel }
  }
  return {
    code: 'INTERNAL',
    message: `The run failed unexpectedly: ${message}`,
    hint: "The log holds the error's stack. Please report it with the spec of the run.",
  }
}
