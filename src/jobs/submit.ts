import type { Config } from '../config.ts'
import type { Database } from '../db/client.ts'
import type { RunQueue } from '../db/run-queue.ts'
import { findRunOfKey, insertRun, requireRun } from '../db/runs.ts'
import { checkSpec } from './check-spec.ts'
import { enqueueOrLeave } from './enqueue.ts'
import { expandSweep } from './expand-sweep.ts'
import { pinSubjects } from './hub-sources.ts'
import { checkAnnotations, type Label } from './labels.ts'
import { checkPlacement } from './placement.ts'
import type { Queues } from './queues.ts'
import { canonicalSpec, parseSpec, type RunSpec, specHash } from './spec.ts'
import { deviceOf, type PlannedSubject, planSubjects } from './subjects.ts'

export interface SubmitContext {
  db: Database
  queues: Pick<Queues, 'enqueue'>
  config: Pick<Config, 'modelRoots' | 'hub' | 'maxResultBytes' | 'queueLockMs'>
}

export interface Submission {
  /** of any form; parsed here as jobs/spec says */
  spec: unknown
  labels?: readonly Label[]
  note?: string | null
  /** 1 to 256 characters. The same key with the same spec as asked gives the same run, whatever became of its models. */
  idempotencyKey?: string | null
}

export interface Submitted {
  runId: string
  /** the idempotencyKey was known */
  alreadyExisted: boolean
}

/**
 * Makes a run of a request: parses the spec, pins hub models to commits, fills in names, describes every subject from its headers, refuses what
 * the spec alone shows to be impossible, stores the run, and enqueues it. From the moment it is stored the run will be
 * executed: where its message is lost the sweeper sends another.
 * @throws AppError NOT_FOUND where it is placed on a worker that is gone; VALIDATION_FAILED, LIMIT_EXCEEDED, CONTEXT_EXCEEDED, CONFIG_UNSUPPORTED, CONFLICT, and those of reading a source
 */
export async function submitRun(
  { db, queues, config }: SubmitContext,
  { spec: asked, labels = [], note = null, idempotencyKey = null }: Submission,
): Promise<Submitted> {
  const parsed = parseSpec(asked)
  checkAnnotations({ labels, note, idempotencyKey })
  const hash = specHash(parsed)
  // Before anything that may have changed since the first request: a local folder, the model roots, a preset.
  const known = idempotencyKey === null ? null : await findRunOfKey(db, idempotencyKey, hash)
  const { runId, alreadyExisted } =
    known === null
      ? await insertRun(db, { ...(await planRun(db, parsed, config)), specHash: hash, labels, note, idempotencyKey })
      : { runId: known.id, alreadyExisted: true }
  const run = known ?? (await requireRun(db, runId))
  if (run.status === 'QUEUED') await enqueueOrLeave(queues, run)
  return { runId, alreadyExisted }
}

async function planRun(db: Database, asked: RunSpec, config: SubmitContext['config']) {
  const { modelRoots, hub, maxResultBytes, queueLockMs } = config
  const pinned: RunSpec = { ...asked, subjects: await pinSubjects(asked.subjects, hub) }
  const parsed = await expandSweep(pinned, modelRoots, hub)
  const queue: RunQueue = {
    device: deviceOf(parsed.subjects),
    placedHostname: parsed.placement?.hostname ?? null,
    placedWorkerId: parsed.placement?.workerId?.toLowerCase() ?? null,
  }
  await checkPlacement(db, queue, queueLockMs)
  const subjects = await planSubjects(parsed.subjects, modelRoots, hub)
  checkSpec(parsed, subjects, maxResultBytes)
  const spec: RunSpec = { ...parsed, subjects: subjects.map((subject) => subject.spec) }
  return { kind: spec.kind, ...queue, spec: JSON.parse(canonicalSpec(spec)), subjects: subjects.map(snapshot) }
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
    runtime: spec.runtime,
    synthetic,
    model: facts,
  }
}
