import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { retry } from '../../src/jobs/control.ts'
import { type Random, randomIndex, seededRandom } from '../../src/stats/random.ts'
import { counts } from '../support/kill-moments.ts'
import { inEveryLane, type Lane, openLanes } from '../support/lanes.ts'
import { startOwnPostgres } from '../support/own-postgres.ts'
import { isAlive, killNow, until } from '../support/processes.ts'
import { queueBackends } from '../support/queue-backends.ts'
import { expectFinishedOnce, runEnded } from '../support/run-checks.ts'
import { spawnSubmitProcess } from '../support/submit-processes.ts'
import { tinySeries, tinySpec } from '../support/tiny-spec.ts'

vi.setConfig({ testTimeout: 600_000 })

const runsEach = 20
/** A third of it are trials; the rest is its child's start and what it loads and sends. */
const spec = tinySpec({ blocks: 12 })
/** Such a run takes about so long, so that a moment of this span may be any moment of it. */
const spanMs = 900
const servers = await Promise.all(queueBackends.map(() => startOwnPostgres()))

/**
 * Submits a run as a client does that asks again until it is answered, with the same key; at random moments the process
 * that was to answer is killed while it does.
 */
async function submit(lane: Lane, idempotencyKey: string, random: Random, count: number): Promise<[string, number]> {
  const { databaseUrl, redisUrl, submitter } = lane
  const kills = randomIndex(random, 4) === 0 ? count : 0
  for (let kill = 1; kill <= kills; kill++) {
    const plan = { databaseUrl, redisUrl, spec, idempotencyKey, waitBeforeEnqueue: false }
    const submitting = spawnSubmitProcess(plan)
    await sleep(random() * spanMs)
    await killNow(submitting.process)
  }
  let runId = ''
  await until('the submission is answered', async () => {
    runId = await submitter.submit(spec, { idempotencyKey })
    return true
  })
  return [runId, kills]
}

/** Kills one of the processes that a run needs, whatever it is at, and brings it back. */
async function killSomething(lane: Lane, laneIndex: number, random: Random): Promise<void> {
  const { worker } = lane
  const victim = (['worker', 'child', 'PostgreSQL'] as const)[randomIndex(random, 3)]
  if (victim === 'worker') {
    await worker.kill()
    lane.worker = await lane.startWorker()
  } else if (victim === 'PostgreSQL') {
    await servers[laneIndex]?.killAndRestart()
  } else {
    // It may have ended already: then this moment has nobody to kill.
    const child = worker.children.at(-1)
    if (child !== undefined && isAlive(child)) process.kill(child, 'SIGKILL')
  }
}

/** A run whose child was killed has failed, and says so: its user retries it. */
async function retryUntilFinished({ submitter }: Lane, runId: string): Promise<void> {
  for (;;) {
    const run = await runEnded(submitter.db, runId, 300_000)
    if (run.status === 'SUCCEEDED') break
    expect(run).toMatchObject({ status: 'FAILED', errorCode: 'WORKER_CRASHED' })
    await retry(submitter, runId)
  }
  await expectFinishedOnce(submitter.db, runId, tinySeries)
}

describe('kill -9 of worker, child, PostgreSQL or submitting process', () => {
  const lanes = openLanes({ createDatabase: async (index) => (await servers[index]?.createDatabase()) ?? '' })

  it.each(counts)(`at ${runsEach} seeded random moments, %s, loses and doubles nothing`, async (often, count) => {
    await inEveryLane(lanes, async (lane) => {
      const laneIndex = lanes.indexOf(lane)
      const random = seededRandom(1911 + 10 * count + laneIndex)
      const runIds: string[] = []
      for (let index = 0; index < runsEach; index++) {
        const [runId, kills] = await submit(lane, `${often} ${index}`, random, count)
        runIds.push(runId)
        for (let kill = kills + 1; kill <= count; kill++) {
          await sleep(random() * spanMs)
          await killSomething(lane, laneIndex, random)
        }
      }
      for (const runId of runIds) await retryUntilFinished(lane, runId)
      lane.runs += runsEach
      expect(new Set(runIds).size).toBe(runsEach)
      expect(await lane.submitter.db.run.count()).toBe(lane.runs)
    })
  })
})
