import { readConfig } from '../../src/config.ts'
import { connectDatabase, type Database } from '../../src/db/client.ts'
import { openQueues, type Queues } from '../../src/jobs/queues.ts'
import type { BenchmarkSpecInput } from '../../src/jobs/spec.ts'
import { type Submission, submitRun } from '../../src/jobs/submit.ts'

/** The side of the API, without HTTP: submits runs to a database and its queue. */
export interface Submitter {
  db: Database
  queues: Queues
  submit(spec: BenchmarkSpecInput, more?: Omit<Submission, 'spec'>): Promise<string>
  close(): Promise<void>
}

export function openSubmitter(
  databaseUrl: string,
  redisUrl: string | null,
  queuePrefix = new URL(databaseUrl).pathname.slice(1),
): Submitter {
  const db = connectDatabase(databaseUrl)
  const queues = openQueues({ redisUrl, databaseUrl, prefix: queuePrefix })
  const config = readConfig({})
  return {
    db,
    queues,
    submit: async (spec, more = {}) => (await submitRun({ db, queues, config }, { spec, ...more })).runId,
    async close() {
      await queues.close()
      await db.close()
    },
  }
}
