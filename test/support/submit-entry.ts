import { readConfig } from '../../src/config.ts'
import { connectDatabase } from '../../src/db/client.ts'
import { openQueues } from '../../src/jobs/queues.ts'
import { submitRun } from '../../src/jobs/submit.ts'
import { startSweeper } from '../../src/jobs/sweep.ts'
import { createLogger } from '../../src/log.ts'

/**
 * What an API process does around a run, without HTTP: submits one and sweeps. It waits between the commit of the row
 * and its message when asked to, and lives until it is killed.
 */
export interface SubmitPlan {
  databaseUrl: string
  redisUrl: string | null
  queuePrefix: string
  spec: unknown
  idempotencyKey: string
  waitBeforeEnqueue: boolean
}

export type SubmitReport = 'committed' | { runId: string }

const report = (message: SubmitReport) => process.send?.(message)
process.on('disconnect', () => process.exit(1))

const { databaseUrl, redisUrl, queuePrefix, ...plan }: SubmitPlan = JSON.parse(process.argv[2] ?? '')
const db = connectDatabase(databaseUrl)
const queues = openQueues({ redisUrl, databaseUrl, prefix: queuePrefix })
const config = { ...readConfig({}), queueLockMs: 2500, sweepMs: 300 }
const logger = createLogger('api', 'silent')
const waiting: typeof queues = {
  ...queues,
  async enqueue(...message) {
    report('committed')
    if (plan.waitBeforeEnqueue) await new Promise(() => undefined)
    await queues.enqueue(...message)
  },
}
const { runId } = await submitRun(
  { db, queues: waiting, config },
  { spec: plan.spec, idempotencyKey: plan.idempotencyKey },
)
report({ runId })
startSweeper({ db, queues, config, logger })
