import { AppError, toErrorRecord } from '../errors.ts'
import { enqueueOrLeave } from '../jobs/enqueue.ts'
import type { Queues } from '../jobs/queues.ts'
import { parseSpec, type RunSpec } from '../jobs/spec.ts'
import type { Logger } from '../log.ts'
import { type ExecutionContext, execute } from './execution.ts'
import type { RunStore, TakenRun } from './run-store.ts'

export interface ProcessContext {
  store: RunStore
  queues: Pick<Queues, 'enqueue'>
  config: ExecutionContext['config']
  logger: Logger
  onRun: (runId: string, callback: () => void) => () => void
  /** Aborted when the worker no longer waits for what runs. */
  signal: AbortSignal
  /** Runs this process is at; shared with whoever looks for runs that nobody is at. */
  inHand: Set<string>
  /** Flags of V8 for the child. */
  execArgv?: readonly string[]
}

function parseStored(spec: unknown): RunSpec | AppError {
  try {
    return parseSpec(spec)
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
}

/**
 * What a worker does with one message in its machine's turn: starts an attempt and executes it. A message of a run that
 * is another's, or has ended, is simply done.
 */
export async function processRun(runId: string, context: ProcessContext): Promise<void> {
  const { inHand, logger } = context
  inHand.add(runId)
  try {
    const run = await context.store.take(runId)
    if (run === null) logger.debug({ runId }, 'nothing to do for this message')
    else await attempt(run, context)
  } finally {
    inHand.delete(runId)
  }
}

async function attempt(run: TakenRun, context: ProcessContext): Promise<void> {
  const { store, queues, logger } = context
  const guard = { runId: run.runId, attempt: run.attempt }
  const spec = parseStored(run.spec)
  if (spec instanceof AppError) {
    await store.finish(guard, { error: toErrorRecord(spec) }, null)
    return
  }
  const end = await execute(guard, spec, context)
  logger.info({ ...guard, end }, 'execution ended')
  if (end !== 'stopped') return
  if (await store.handBack(guard)) await enqueueOrLeave(queues, { ...run, id: run.runId })
}
