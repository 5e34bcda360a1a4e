import type { Config } from '../config.ts'
import type { RunSpec } from '../jobs/spec.ts'
import type { Logger } from '../log.ts'
import { causeOfDeath } from './cause-of-death.ts'
import type { ChildMessage } from './messages.ts'
import { readOomKills } from './oom-kills.ts'
import type { ExecutionResult, Guard, RunStore } from './run-store.ts'
import { startChild } from './start-child.ts'

/** How often the parent asks whether the run is still this attempt's. A notification usually comes first. */
const guardCheckMs = 500
/** At most so often is a progress message stored. */
const progressEveryMs = 200

export interface ExecutionContext {
  store: RunStore
  config: Pick<Config, 'dataDir' | 'modelRoots' | 'hub' | 'runTimeoutMs' | 'maxResultBytes'>
  logger: Logger
  /** Aborted when the worker shuts down. */
  signal: AbortSignal
  /** Calls back whenever something happened to the run; returns how to stop that. */
  onRun: (runId: string, callback: () => void) => () => void
  /** Flags of V8 for the child. */
  execArgv?: readonly string[]
}

/** finished: the run has its end. lost: it is another's, or was cancelled. stopped: the worker shuts down, the run is unfinished. */
export type ExecutionEnd = 'finished' | 'lost' | 'stopped'

type StopReason = 'lost' | 'stopped' | 'timed out' | 'not stored'

/**
 * One attempt at a run: starts a child, stores what it sends in the order in which it comes, answering each message once
 * it is stored, and ends the run. The child is killed as soon as the run is no longer this attempt's, takes too long, or the worker shuts down.
 * @throws when the database could not be reached for so long that results were lost; the run is then unfinished
 */
export async function execute(guard: Guard, spec: RunSpec, context: ExecutionContext): Promise<ExecutionEnd> {
  const { store, config, logger, signal } = context
  const oomKillsBefore = await readOomKills()
  const state: { stopped: StopReason | null; result: ExecutionResult | null; storeError: unknown } = {
    stopped: null,
    result: null,
    storeError: null,
  }
  let lastProgress = Number.NEGATIVE_INFINITY
  let stored = Promise.resolve()

  const stop = (reason: StopReason) => {
    state.stopped ??= reason
    child.kill()
  }

  const handle = async (message: ChildMessage): Promise<boolean> => {
    switch (message.type) {
      case 'progress': {
        const now = performance.now()
        if (now - lastProgress < progressEveryMs) return true
        lastProgress = now
        return store.addProgress(guard, message.fraction, message.message)
      }
      case 'subjects':
        return store.completeSubjects(guard, message.rows)
      case 'series':
        return store.insertSeries(guard, message.rows)
      case 'heads':
        return store.insertHeads(guard, message.batch)
      case 'outcome':
        state.result = { outcome: message.outcome }
        return true
      case 'failed':
        state.result = { error: message.error }
        return true
    }
  }

  const onMessage = (message: ChildMessage, acknowledge: () => void) => {
    stored = stored.then(async () => {
      if (state.stopped !== null) return
      try {
        if (await handle(message)) acknowledge()
        else stop('lost')
      } catch (error) {
        state.storeError = error
        stop('not stored')
      }
    })
  }

  const { dataDir, modelRoots, hub, maxResultBytes, runTimeoutMs } = config
  const start = { type: 'start', spec, dataDir, modelRoots, hub, maxResultBytes } as const
  const child = startChild(start, onMessage, context.execArgv)
  logger.info({ ...guard, child: child.pid }, 'execution started')

  const checkGuard = () => {
    // A database that cannot be reached says nothing about whose run it is.
    store.isMine(guard).then(
      (mine) => mine || stop('lost'),
      () => undefined,
    )
  }
  const stopForShutdown = () => stop('stopped')
  const guardTimer = setInterval(checkGuard, guardCheckMs)
  const timeout = setTimeout(() => stop('timed out'), runTimeoutMs)
  const unsubscribe = context.onRun(guard.runId, checkGuard)
  signal.addEventListener('abort', stopForShutdown)
  if (signal.aborted) stopForShutdown()
  try {
    const end = await child.ended
    await stored
    const { stopped, storeError } = state
    // A result means that everything before it has been stored: it stands, even if a stop came a moment later.
    if (state.result === null) {
      if (stopped === 'lost' || stopped === 'stopped') return stopped
      if (stopped === 'not stored') throw storeError
    }
    const log = child.log()
    const result = state.result ?? {
      error: causeOfDeath({
        ...end,
        timedOutAfterMs: stopped === 'timed out' ? runTimeoutMs : null,
        oomKills: ((await readOomKills()) ?? 0) - (oomKillsBefore ?? 0),
        log,
      }),
    }
    return (await store.finish(guard, result, log)) ? 'finished' : 'lost'
  } finally {
    clearInterval(guardTimer)
    clearTimeout(timeout)
    unsubscribe()
    signal.removeEventListener('abort', stopForShutdown)
  }
}
