import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { keepBeating } from '../../../src/cli/heartbeat.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function start() {
  const beats: number[] = []
  const begin = performance.now()
  const heartbeat = keepBeating(
    async () => {
      beats.push(performance.now() - begin)
      throw new Error('the database is gone')
    },
    { heartbeatMs: 2000, queueLockMs: 15_000 },
  )
  return { beats, heartbeat }
}

describe('keepBeating', () => {
  it('beats by itself while nothing is timed, though a beat fails', async () => {
    const { beats, heartbeat } = start()
    await vi.advanceTimersByTimeAsync(6000)
    await heartbeat.stop()
    await vi.advanceTimersByTimeAsync(6000)
    expect(beats).toEqual([2000, 4000, 6000])
  })
  it('beats before a trial when it is due, and never in one that is short', async () => {
    const { beats, heartbeat } = start()
    for (let trial = 0; trial < 4; trial += 1) {
      await heartbeat.beforeTrial()
      await vi.advanceTimersByTimeAsync(1500)
    }
    expect(beats).toEqual([3000])
    heartbeat.afterTrials()
    await vi.advanceTimersByTimeAsync(2000)
    expect(beats).toEqual([3000, 8000])
    await heartbeat.stop()
  })
  it('beats in a trial that takes so long that the run would be taken for dead', async () => {
    const { beats, heartbeat } = start()
    await heartbeat.beforeTrial()
    await vi.advanceTimersByTimeAsync(15_000)
    expect(beats).toEqual([8000])
    await heartbeat.stop()
  })
  it('lets a beat under way end before the trial begins', async () => {
    const log: string[] = []
    const slow = async () => {
      await new Promise((resolve) => setTimeout(resolve, 500))
      log.push('beaten')
    }
    const heartbeat = keepBeating(slow, { heartbeatMs: 2000, queueLockMs: 15_000 })
    await vi.advanceTimersByTimeAsync(2100)
    const begun = heartbeat.beforeTrial().then(() => log.push('trial'))
    await vi.advanceTimersByTimeAsync(500)
    await begun
    expect(log).toEqual(['beaten', 'trial'])
    await heartbeat.stop()
  })
})
