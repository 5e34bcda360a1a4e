import { type AttentionKind, type Device, Prisma, type RunKind, type RunStatus } from '../generated/prisma/client.ts'
import { requireStorable } from './stored-text.ts'
import { requireStorableTime } from './stored-time.ts'

/** Which runs; what is null or left out does not matter. Everything given must hold. */
export interface RunFilter {
  kind?: RunKind | null | undefined
  /** any of these; an empty list lets nothing pass */
  status?: readonly RunStatus[] | null | undefined
  /** all of these */
  labels?: readonly { key: string; value: string }[] | null | undefined
  /** of one and the same subject: model, attentionKind and kvHeads */
  model?: string | null | undefined
  attentionKind?: AttentionKind | null | undefined
  kvHeads?: number | null | undefined
  device?: Device | null | undefined
  /** of the machine that took the latest attempt */
  hostname?: string | null | undefined
  /** at or after */
  queuedAfter?: Date | null | undefined
  /** before */
  queuedBefore?: Date | null | undefined
  /** in the note or a subject's name, whatever its case */
  text?: string | null | undefined
}

/**
 * How a condition will be used: asked of one run after the other until enough are found, or to find all that there are.
 * It says the same; only what indexes can do for it differs.
 */
export type FilterUse = 'run by run' | 'all runs'

/**
 * The filter as a condition on "Run" AS run; null where nothing is filtered.
 * @throws AppError VALIDATION_FAILED for text or a time that PostgreSQL cannot hold, and so no run has
 */
export function filterCondition(filter: RunFilter, use: FilterUse): Prisma.Sql | null {
  const conditions = [...ofRun(filter), ...ofLabels(filter, use), ...ofSubjects(filter, use), ...ofText(filter, use)]
  return conditions.length === 0 ? null : Prisma.join(conditions, ' AND ')
}

function ofRun(filter: RunFilter): Prisma.Sql[] {
  const conditions: Prisma.Sql[] = []
  if (filter.kind) conditions.push(Prisma.sql`run.kind = ${filter.kind}::"RunKind"`)
  if (filter.status) conditions.push(Prisma.sql`run.status = ANY(${[...filter.status]}::"RunStatus"[])`)
  if (filter.device) conditions.push(Prisma.sql`run.device = ${filter.device}::"Device"`)
  if (filter.hostname != null) {
    conditions.push(Prisma.sql`run.hostname = ${requireStorable('the hostname', filter.hostname)}`)
  }
  if (filter.queuedAfter) {
    const after = requireStorableTime('queuedAfter', filter.queuedAfter)
    conditions.push(Prisma.sql`run."queuedAt" >= ${after}::timestamptz`)
  }
  if (filter.queuedBefore) {
    const before = requireStorableTime('queuedBefore', filter.queuedBefore)
    conditions.push(Prisma.sql`run."queuedAt" < ${before}::timestamptz`)
  }
  return conditions
}

/** OFFSET 0 keeps the planner from turning a look at one run into a list of all. */
const asked = (use: FilterUse) => (use === 'run by run' ? Prisma.sql`OFFSET 0` : Prisma.empty)

function ofLabels(filter: RunFilter, use: FilterUse): Prisma.Sql[] {
  return (filter.labels ?? []).map(
    ({ key, value }) => Prisma.sql`EXISTS (
      SELECT 1 FROM "RunLabel" AS label WHERE label."runId" = run.id AND label.key = ${requireStorable('a label', key)}
        AND label.value = ${requireStorable('a label', value)} ${asked(use)})`,
  )
}

function ofSubjects(filter: RunFilter, use: FilterUse): Prisma.Sql[] {
  const conditions: Prisma.Sql[] = []
  if (filter.model != null) {
    conditions.push(Prisma.sql`subject."modelName" = ${requireStorable('the model', filter.model)}`)
  }
  if (filter.attentionKind) {
    conditions.push(Prisma.sql`subject."attentionKind" = ${filter.attentionKind}::"AttentionKind"`)
  }
  if (filter.kvHeads != null) conditions.push(Prisma.sql`subject."kvHeads" = ${filter.kvHeads}`)
  if (conditions.length === 0) return []
  const all = Prisma.join(conditions, ' AND ')
  return [
    Prisma.sql`EXISTS (SELECT 1 FROM "Subject" AS subject WHERE subject."runId" = run.id AND ${all} ${asked(use)})`,
  ]
}

function ofText({ text }: RunFilter, use: FilterUse): Prisma.Sql[] {
  if (!text) return []
  const pattern = `%${requireStorable('the text', text).replace(/[\\%_]/g, '\\$&')}%`
  if (use === 'all runs') {
    return [
      Prisma.sql`run.id IN (
        SELECT id FROM "Run" WHERE note ILIKE ${pattern}
        UNION SELECT "runId" FROM "Subject" WHERE name ILIKE ${pattern})`,
    ]
  }
  return [
    Prisma.sql`(run.note ILIKE ${pattern} OR EXISTS (
      SELECT 1 FROM "Subject" AS subject WHERE subject."runId" = run.id AND subject.name ILIKE ${pattern} OFFSET 0))`,
  ]
}
