import type { Config } from '../config.ts'
import type { Database } from '../db/client.ts'
import { insertRun, requireRun } from '../db/runs.ts'
import { enqueueOrLeave } from './enqueue.ts'
import { checkAnnotations, type Label } from './labels.ts'
import type { Queues } from './queues.ts'
import { canonicalSpec, parseSpec, type RunSpec, specHash } from './spec.ts'
import { checkContext, deviceOf, type PlannedSubject, planSubjects } from './subjects.ts'

export interface SubmitContext {
  db: Database
  queues: Pick<Queues, 'enqueue'>
  config: Pick<Config, 'modelRoots'>
}

export interface Submission {
  /** of any form; parsed here as jobs/spec says */
  spec: unknown
  labels?: readonly Label[]
  note?: string | null
  /** The same key with the same spec gives the same run. */
  idempotencyKey?: string | null
}

export interface Submitted {
  runId: string
  /** the idempotencyKey was known */
  alreadyExisted: boolean
}

/**
 * Makes a run of a request: parses the spec, fills in names, describes every subject from its headers, refuses what
 * the spec alone shows to be impossible, stores the run, and enqueues it. From the moment it is stored the run will be
 * executed: where its message is lost the sweeper sends another.
 * @throws AppError VALIDATION_FAILED, LIMIT_EXCEEDED, CONTEXT_EXCEEDED, CONFLICT, and those of reading a source
 */
export async function submitRun(
  { db, queues, config }: SubmitContext,
  { spec: asked, labels = [], note = null, idempotencyKey = null }: Submission,
): Promise<Submitted> {
  const parsed = parseSpec(asked)
  checkAnnotations({ labels, note })
  const device = deviceOf(parsed.subjects)
  const subjects = await planSubjects(parsed.subjects, config.modelRoots)
  checkContext(subjects, parsed.tests)

  const spec: RunSpec = { ...parsed, subjects: subjects.map((subject) => subject.spec) }
  const submitted = await insertRun(db, {
    kind: spec.kind,
    device,
    spec: JSON.parse(canonicalSpec(spec)),
    specHash: specHash(spec),
    subjects: subjects.map(snapshot),
    labels,
    note,
    idempotencyKey,
  })
  const run = submitted.alreadyExisted ? await requireRun(db, submitted.runId) : { status: 'QUEUED', attempt: 0 }
  if (run.status === 'QUEUED') await enqueueOrLeave(queues, submitted.runId, device, run.attempt + 1)
  return submitted
}

/** A subject's row: the model as it will run, under its plain columns and whole. */
function snapshot({ spec, facts, synthetic }: PlannedSubject) {
  return {
    name: spec.name,
    modelName: facts.name,
    attentionKind: facts.attentionKind,
    kvHeads: facts.kvHeads,
    device: spec.device,
    threads: spec.threads,
    synthetic,
    model: facts,
  }
}
