import { randomUUID } from 'node:crypto'
import type { Config } from '../config.ts'
import type { Database } from '../db/client.ts'
import { insertRun } from '../db/runs.ts'
import { AppError } from '../errors.ts'
import type { Queues } from './queues.ts'
import { parseSpec, specHash, specLimits } from './spec.ts'
import { checkContext, deviceOf, planSubjects } from './subjects.ts'

export interface JobContext {
  db: Database
  queues: Pick<Queues, 'enqueue'>
  config: Pick<Config, 'modelRoots'>
}

export interface Submission {
  /** parsed here; see jobs/spec */
  spec: unknown
  labels: { key: string; value: string }[]
  note: string | null
  /** The same key with the same spec gives the same run. */
  idempotencyKey: string | null
}
