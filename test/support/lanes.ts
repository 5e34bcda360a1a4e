import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, it } from 'vitest'
import type { Config } from '../../src/config.ts'
import { queueBackends } from './queue-backends.ts'
import { openSubmitter, type Submitter } from './submitting.ts'
import { createTestDatabase } from './test-database.ts'
import { startTestWorker, type TestWorker } from './workers.ts'

/** A database of its own and one of the queues, with one worker at a time: the same is killed in all lanes at once. */
export interface Lane {
  readonly backend: 'POSTGRESQL' | 'REDIS'
  readonly redisUrl: string | null
  readonly databaseUrl: string
  readonly submitter: Submitter
  worker: TestWorker
  /** how many runs the lane has seen */
  runs: number
  startWorker(): Promise<TestWorker>
}

export interface LaneOptions {
  config?: Partial<Config>
  /** default: a clone of the tests' template */
  createDatabase?: (laneIndex: number) => Promise<string>
}

/** One lane for each queue that this machine has; without Redis a skipped test says so. */
export function openLanes({ config = {}, createDatabase = () => createTestDatabase() }: LaneOptions = {}): Lane[] {
  const lanes: Lane[] = []
  const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-lanes-'))
  beforeAll(async () => {
    const opened = queueBackends.map(async ({ backend, redisUrl }, index) => {
      const databaseUrl = await createDatabase(index)
      const startWorker = () => startTestWorker({ databaseUrl, config: { redisUrl, dataDir, ...config } })
      const submitter = openSubmitter(databaseUrl, redisUrl)
      return { backend, redisUrl, databaseUrl, submitter, worker: await startWorker(), runs: 0, startWorker }
    })
    lanes.push(...(await Promise.all(opened)))
  })
  afterAll(async () => {
    await Promise.all(lanes.map((lane) => lane.worker.kill()))
    await Promise.all(lanes.map((lane) => lane.submitter.close()))
    rmSync(dataDir, { recursive: true, force: true })
  })
  if (queueBackends.length === 1) it.skip('on REDIS too (no redis-server on PATH)')
  return lanes
}

/** Does the same in all lanes at the same time; what fails names its lane. */
export async function inEveryLane(lanes: readonly Lane[], work: (lane: Lane) => Promise<void>): Promise<void> {
  const results = await Promise.allSettled(lanes.map(work))
  for (const [index, result] of results.entries()) {
    if (result.status === 'fulfilled') continue
    const lane = lanes[index]
    if (result.reason instanceof Error) {
      result.reason.message = `${lane?.backend}: ${result.reason.message}\n${lane?.worker.log().slice(-4000)}`
    }
    throw result.reason
  }
}
