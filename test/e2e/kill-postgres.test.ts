import { describe, expect, it, vi } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { submitRun } from '../../src/jobs/submit.ts'
import { counts, killCases, moments, specToKill } from '../support/kill-moments.ts'
import { inEveryLane, type Lane, openLanes } from '../support/lanes.ts'
import { startOwnPostgres } from '../support/own-postgres.ts'
import { expectFinishedOnce } from '../support/run-checks.ts'
import { tinySeries, tinySpec } from '../support/tiny-spec.ts'

vi.setConfig({ testTimeout: 300_000 })

const postgres = await startOwnPostgres()

async function killPostgres(count: number): Promise<void> {
  for (let kill = 1; kill <= count; kill++) await postgres.killAndRestart()
}

describe('kill -9 of PostgreSQL', () => {
  const lanes = openLanes({ createDatabase: postgres.createDatabase })
  const finished = async (lane: Lane, runId: string) => {
    await expectFinishedOnce(lane.submitter.db, runId, tinySeries)
    expect(await lane.submitter.db.run.count()).toBe(lane.runs)
  }

  it.each(counts)('between the row and its message, %s, loses and doubles nothing', async (_often, count) => {
    const runIds = new Map<Lane, string>()
    const config = readConfig({})
    const submitting: Promise<unknown>[] = []
    let goOn: () => void = () => undefined
    const backAgain = new Promise<void>((resolve) => {
      goOn = resolve
    })
    await inEveryLane(lanes, async (lane) => {
      const { db, queues } = lane.submitter
      await new Promise<void>((committed) => {
        const waiting: typeof queues = {
          ...queues,
          async enqueue(runId, ...rest) {
            runIds.set(lane, runId)
            committed()
            await backAgain
            await queues.enqueue(runId, ...rest)
          },
        }
        submitting.push(submitRun({ db, queues: waiting, config }, { spec: tinySpec() }))
      })
      lane.runs++
    })
    await killPostgres(count)
    goOn()
    await Promise.all(submitting)
    await inEveryLane(lanes, (lane) => finished(lane, runIds.get(lane) ?? ''))
  })

  it.each(killCases(moments))('%s, loses and doubles nothing', async (_title, { moment, count }) => {
    const runIds = new Map<Lane, string>()
    await inEveryLane(lanes, async (lane) => {
      lane.worker.waitAt(moment)
      runIds.set(lane, await lane.submitter.submit(specToKill(moment)))
      lane.runs++
      await lane.worker.reached(moment)
    })
    await killPostgres(count)
    await inEveryLane(lanes, async (lane) => {
      lane.worker.goOn()
      await finished(lane, runIds.get(lane) ?? '')
    })
  })
})
