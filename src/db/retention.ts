import { AppError } from '../errors.ts'
import { Prisma } from '../generated/prisma/client.ts'
import type { Database, Queries } from './client.ts'
import { deleteFinishedRuns } from './delete-runs.ts'

/** Which finished runs are dropped. */
export interface RetentionRule {
  /** queued before so many days ago */
  olderThanDays: number
  /** but not the newest so many finished runs of any of its labels; runs without labels count as one more label */
  keepPerLabel: number
}

/** What a rule would drop, and why others stay that are old enough. */
export interface RetentionPlan {
  /** sha256 of the ids of all runs that would be dropped, oldest first */
  digest: string
  drops: number
  /** of the first of them */
  oldestIds: string[]
  keptPinned: number
  keptBaselines: number
  keptPerLabel: number
}

/** How many of the runs a plan names. */
const idsTold = 100
/** Each batch is a transaction of its own: what is deleted stays deleted, whatever comes. */
const deletedAtOnce = 200

/** What the rule would drop now. Nothing is deleted. One statement. */
export async function planRetention(db: Queries, rule: RetentionRule): Promise<RetentionPlan> {
  const [plan] = await db.$queryRaw<RetentionPlan[]>`
    ${judged(rule)}
    SELECT ${digestOfDropped} AS digest, (count(*) FILTER (WHERE fate = 'dropped'))::int AS drops,
      (count(*) FILTER (WHERE fate = 'pinned'))::int AS "keptPinned",
      (count(*) FILTER (WHERE fate = 'baseline'))::int AS "keptBaselines",
      (count(*) FILTER (WHERE fate = 'label'))::int AS "keptPerLabel",
      ARRAY(SELECT id::text FROM judged WHERE fate = 'dropped' ORDER BY "queuedAt", id LIMIT ${idsTold}) AS "oldestIds"
    FROM judged`
  if (plan === undefined) throw new Error('a count gave no row')
  return plan
}

/**
 * Deletes what the rule drops, if that is the list that the digest stands for. A run that is pinned or becomes a baseline
 * while others are deleted stays.
 * @returns how many were deleted
 * @throws AppError CONFLICT where the list is another now; then nothing was deleted
 */
export async function pruneRuns(db: Database, rule: RetentionRule, digest: string): Promise<number> {
  const [plan] = await db.$queryRaw<{ digest: string; ids: string[] }[]>`
    ${judged(rule)}
    SELECT ${digestOfDropped} AS digest, coalesce(
      array_agg(id::text ORDER BY "queuedAt", id) FILTER (WHERE fate = 'dropped'), '{}') AS ids
    FROM judged`
  const ids = plan?.ids ?? []
  if (plan?.digest !== digest) {
    throw new AppError(
      'CONFLICT',
      `the rule would drop ${ids.length === 1 ? '1 run' : `${ids.length} runs`} now, which are others than those of the plan ${digest.slice(0, 100)}`,
      'Ask for retentionPlan again, look at it, and send its digest.',
    )
  }
  let deleted = 0
  for (let from = 0; from < ids.length; from += deletedAtOnce) {
    deleted += await deleteFinishedRuns(db, ids.slice(from, from + deletedAtOnce), true)
  }
  return deleted
}

/** The finished runs that are old enough, each with its fate: 'pinned', 'baseline' or 'label' keep it. */
function judged({ olderThanDays, keepPerLabel }: RetentionRule): Prisma.Sql {
  return Prisma.sql`
    WITH finished AS MATERIALIZED (
      SELECT id, "queuedAt", pinned, "queuedAt" < now() - ${olderThanDays}::float8 * interval '1 day' AS old
      FROM "Run" WHERE status NOT IN ('QUEUED', 'RUNNING')
    ), newest AS MATERIALIZED (
      SELECT DISTINCT id FROM (
        SELECT finished.id, row_number() OVER (
          PARTITION BY label.key, label.value ORDER BY finished."queuedAt" DESC, finished.id DESC) AS place
        FROM finished LEFT JOIN "RunLabel" AS label ON label."runId" = finished.id
        WHERE ${keepPerLabel > 0}::boolean
      ) AS placed WHERE place <= ${keepPerLabel}
    ), judged AS (
      SELECT finished.id, "queuedAt", CASE
        WHEN pinned THEN 'pinned'
        WHEN named.id IS NOT NULL THEN 'baseline'
        WHEN newest.id IS NOT NULL THEN 'label'
        ELSE 'dropped' END AS fate
      FROM finished LEFT JOIN newest ON newest.id = finished.id
      LEFT JOIN (SELECT DISTINCT "runId" AS id FROM "Baseline") AS named ON named.id = finished.id
      WHERE old
    )`
}

const digestOfDropped = Prisma.sql`encode(sha256(convert_to(coalesce(
  string_agg(id::text, ',' ORDER BY "queuedAt", id) FILTER (WHERE fate = 'dropped'), ''), 'UTF8')), 'hex')`
