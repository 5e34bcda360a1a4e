import { describe, expect, it, vi } from 'vitest'
import { retry } from '../../src/jobs/control.ts'
import { killCases, specToKill } from '../support/kill-moments.ts'
import { inEveryLane, openLanes } from '../support/lanes.ts'
import { expectFinishedOnce, runEnded } from '../support/run-checks.ts'
import { tinySeries } from '../support/tiny-spec.ts'

vi.setConfig({ testTimeout: 300_000 })

describe('kill -9 of the child of an execution', () => {
  const lanes = openLanes()

  it.each(killCases(['loading', 'in a trial', 'between two writes']))(
    '%s, ends its own run with WORKER_CRASHED, and a retry succeeds',
    async (_title, { moment, count }) => {
      await inEveryLane(lanes, async (lane) => {
        const { submitter, worker } = lane
        worker.waitAt(moment)
        const runId = await submitter.submit(specToKill(moment))
        for (let kill = 1; kill <= count; kill++) {
          await worker.reached(moment)
          process.kill(worker.children.at(-1) ?? 0, 'SIGKILL')
          worker.goOn()
          const failed = await runEnded(submitter.db, runId)
          expect(failed).toMatchObject({ status: 'FAILED', errorCode: 'WORKER_CRASHED', attempt: kill })
          if (kill < count) worker.waitAt(moment)
          await retry(submitter, runId)
        }
        expect((await expectFinishedOnce(submitter.db, runId, tinySeries)).attempt).toBe(count + 1)
      })
    },
  )
})
