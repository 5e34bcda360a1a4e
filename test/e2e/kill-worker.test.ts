import { describe, expect, it, vi } from 'vitest'
import { killCases, moments, specToKill } from '../support/kill-moments.ts'
import { inEveryLane, openLanes } from '../support/lanes.ts'
import { isAlive, until } from '../support/processes.ts'
import { expectFinishedOnce } from '../support/run-checks.ts'
import { tinySeries } from '../support/tiny-spec.ts'

vi.setConfig({ testTimeout: 300_000 })

describe('kill -9 of a worker', () => {
  const lanes = openLanes()

  it.each(killCases(moments))('%s, loses and doubles nothing', async (_title, { moment, count }) => {
    await inEveryLane(lanes, async (lane) => {
      const { submitter } = lane
      lane.worker.waitAt(moment)
      const runId = await submitter.submit(specToKill(moment))
      lane.runs++
      for (let kill = 1; kill <= count; kill++) {
        // After its end a run is not taken again: the second worker is killed while it waits for the next one.
        if (kill === 1 || moment !== 'after the end') await lane.worker.reached(moment)
        const { children } = lane.worker
        await lane.worker.kill()
        for (const child of children) await until('its child is gone', () => !isAlive(child), 5000)
        lane.worker = await lane.startWorker()
        if (kill < count) lane.worker.waitAt(moment)
      }
      const run = await expectFinishedOnce(submitter.db, runId, tinySeries)
      if (moment === 'enqueued' || moment === 'after the end') expect(run.attempt).toBe(1)
      else expect(run.attempt).toBeGreaterThan(count)
      expect(await submitter.db.run.count()).toBe(lane.runs)
    })
  })
})
