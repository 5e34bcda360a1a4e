import { describe, expect, it, vi } from 'vitest'
import { counts, specToKill } from '../support/kill-moments.ts'
import { inEveryLane, type Lane, openLanes } from '../support/lanes.ts'
import { killNow } from '../support/processes.ts'
import { expectFinishedOnce } from '../support/run-checks.ts'
import type { SubmitPlan } from '../support/submit-entry.ts'
import { startSubmitProcess } from '../support/submit-processes.ts'
import { tinySeries, tinySpec } from '../support/tiny-spec.ts'

vi.setConfig({ testTimeout: 300_000 })

describe('kill -9 of a process that submits and sweeps, as the API does', () => {
  const lanes = openLanes()
  const submitFrom = ({ databaseUrl, redisUrl }: Lane, idempotencyKey: string, options: Partial<SubmitPlan> = {}) =>
    startSubmitProcess({
      databaseUrl,
      redisUrl,
      spec: tinySpec(),
      idempotencyKey,
      waitBeforeEnqueue: false,
      ...options,
    })

  it.each(counts)('between the row and its message, %s, loses and doubles nothing', async (often, count) => {
    await inEveryLane(lanes, async (lane) => {
      const { submitter, worker } = lane
      const key = `committed ${often}`
      // The sweeper's message may come while the second process still starts: the run is not to be taken before.
      worker.waitAt('enqueued')
      for (let kill = 1; kill <= count; kill++)
        await killNow((await submitFrom(lane, key, { waitBeforeEnqueue: true })).process)
      lane.runs++
      await worker.reached('enqueued')
      worker.goOn()
      const { id } = await submitter.db.run.findFirstOrThrow({ where: { idempotencyKey: key } })
      expect((await expectFinishedOnce(submitter.db, id, tinySeries)).attempt).toBe(1)
      expect(await submitter.db.run.count()).toBe(lane.runs)
    })
  })

  it.each(counts)('at every moment of a run, %s, loses and doubles nothing', async (often, count) => {
    await inEveryLane(lanes, async (lane) => {
      const { submitter, worker } = lane
      // While the worker waits at one moment the child goes on, so the moments of one run must lie far apart.
      for (const visited of [
        ['enqueued', 'loading'],
        ['in a trial'],
        ['between two writes', 'before the end'],
      ] as const) {
        const key = `${visited.join(', ')}, ${often}`
        const runIds = new Set<string | null>()
        for (const moment of visited) {
          worker.waitAt(moment)
          worker.goOn()
          // Its client has heard nothing from the last process, so it asks the next for the same run.
          for (let kill = 1; kill <= count; kill++) {
            const submitted = await submitFrom(lane, key, { spec: specToKill(visited[0]) })
            runIds.add(submitted.runId)
            await worker.reached(moment)
            await killNow(submitted.process)
          }
        }
        lane.runs++
        worker.goOn()
        const [runId] = runIds
        expect(runIds.size).toBe(1)
        expect((await expectFinishedOnce(submitter.db, runId ?? '', tinySeries)).attempt).toBe(1)
        expect(await submitter.db.run.count()).toBe(lane.runs)
      }
    })
  })
})
