import { describe, expect, it, vi } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { requireRun } from '../../src/db/runs.ts'
import { inEveryLane, openLanes } from '../support/lanes.ts'
import { until } from '../support/processes.ts'
import { expectFinishedOnce } from '../support/run-checks.ts'
import { manyTrialsSpec, tinySeries } from '../support/tiny-spec.ts'

vi.setConfig({ testTimeout: 300_000 })

describe('with the default intervals', () => {
  const { queueLockMs, queueCheckMs, sweepMs, heartbeatMs } = readConfig({})
  const lanes = openLanes({ config: { queueLockMs, queueCheckMs, sweepMs, heartbeatMs } })

  it('the run of a killed worker is taken up by another within 60 s and finished once', async () => {
    await inEveryLane(lanes, async (lane) => {
      const { db } = lane.submitter
      lane.worker.waitAt('loading')
      const runId = await lane.submitter.submit(manyTrialsSpec())
      await lane.worker.reached('loading')
      const successor = await lane.startWorker()
      lane.worker.waitAt('in a trial')
      lane.worker.goOn()
      await lane.worker.reached('in a trial')
      await lane.worker.kill()
      lane.worker = successor
      await until('another worker takes it', async () => (await requireRun(db, runId)).attempt === 2, 60_000)
      expect((await expectFinishedOnce(db, runId, tinySeries)).attempt).toBe(2)
    })
  })
})
