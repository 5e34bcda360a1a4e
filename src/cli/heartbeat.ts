import type { Config } from '../config.ts'

export interface Heartbeat {
  /** Beats if a beat is due; from then on the timer keeps still, for a trial is timed. */
  beforeTrial(): Promise<void>
  /** No trial is timed: the timer may beat again. */
  afterTrials(): void
  /** Resolves when no beat is under way any more. */
  stop(): Promise<void>
}

/**
 * Says every `heartbeatMs` that this process lives: by a timer while nothing is timed, from between trials otherwise.
 * Only a trial longer than half the time after which a silent worker counts as dead is disturbed by a beat, for
 * otherwise another process would take the run away. A beat that fails is left to the next.
 */
export function keepBeating(
  beat: () => Promise<unknown>,
  { heartbeatMs, queueLockMs }: Pick<Config, 'heartbeatMs' | 'queueLockMs'>,
): Heartbeat {
  let timing = false
  let last = performance.now()
  let underWay: Promise<void> | null = null
  const silence = () => performance.now() - last
  const once = () => {
    underWay ??= beat()
      .catch(() => undefined)
      .then(() => {
        last = performance.now()
        underWay = null
      })
  }
  const timer = setInterval(() => {
    if (!timing || silence() >= queueLockMs / 2) once()
  }, heartbeatMs)
  return {
    async beforeTrial() {
      timing = true
      if (silence() >= heartbeatMs) once()
      await underWay
    },
    afterTrials() {
      timing = false
    },
    async stop() {
      clearInterval(timer)
      await underWay
    },
  }
}
