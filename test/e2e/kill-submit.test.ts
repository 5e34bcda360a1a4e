import { describe, expect, it, vi } from 'vitest'
import { killCases, moments } from '../support/kill-moments.ts'
import { inEveryLane, type Lane, openLanes } from '../support/lanes.ts'
import { killNow } from '../support/processes.ts'
import { expectFinishedOnce } from '../support/run-checks.ts'
import { startSubmitProcess } from '../support/submit-processes.ts'
import { tinySeries, tinySpec } from '../support/tiny-spec.ts'

vi.setConfig({ testTimeout: 120_000 })

describe('kill -9 of a process that submits and sweeps, as the API does', () => {
  const lanes = openLanes()
  const submitFrom = ({ databaseUrl, redisUrl }: Lane, idempotencyKey: string, waitBeforeEnqueue = false) =>
    startSubmitProcess({ databaseUrl, redisUrl, spec: tinySpec(), idempotencyKey, waitBeforeEnqueue })

  it.each([
    ['once', 1],
    ['twice in a row', 2],
  ] as const)('between the row and its message, %s, loses and doubles nothing', async (often, count) => {
    await inEveryLane(lanes, async (lane) => {
      const { submitter, worker } = lane
      const key = `committed ${often}`
      // The sweeper's message may come while the second process still starts: the run is not to be taken before.
      worker.waitAt('enqueued')
      for (let kill = 1; kill <= count; kill++) await killNow((await submitFrom(lane, key, true)).process)
      lane.runs++
      await worker.reached('enqueued')
      worker.goOn()
      const { id } = await submitter.db.run.findFirstOrThrow({ where: { idempotencyKey: key } })
      expect((await expectFinishedOnce(submitter.db, id, tinySeries)).attempt).toBe(1)
      expect(await submitter.db.run.count()).toBe(lane.runs)
    })
  })

  it.each(killCases(moments))('%s, loses and doubles nothing', async (title, { moment, count }) => {
    await inEveryLane(lanes, async (lane) => {
      const { submitter, worker } = lane
      worker.waitAt(moment)
      const submitted = await submitFrom(lane, title)
      lane.runs++
      await worker.reached(moment)
      await killNow(submitted.process)
      // The client asks again, having heard nothing.
      if (count === 2) await killNow((await submitFrom(lane, title)).process)
      worker.goOn()
      expect((await expectFinishedOnce(submitter.db, submitted.runId ?? '', tinySeries)).attempt).toBe(1)
      expect(await submitter.db.run.count()).toBe(lane.runs)
    })
  })
})
