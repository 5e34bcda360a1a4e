import { Prisma } from '../generated/prisma/client.ts'
import type { AttentionHeadRow, AttentionPromptRow, HeadDiversityRow, PromptToken, StoredDtype } from '../heads/rows.ts'
import type { Queries } from './client.ts'
import { isRunId } from './run-id.ts'

/** Reading of attention maps: everything here is of each run's latest attempt; tiles stand in attention-tiles. */

/** The maps of one layer for one prompt. */
export interface LayerKey {
  runId: string
  prompt: number
  layer: number
}

/** One attention map. */
export interface MapKey extends LayerKey {
  head: number
}

/** A map as a whole, without its overview and tiles. */
export interface StoredHead extends Omit<AttentionHeadRow, 'overviewSide' | 'overview'> {
  runId: string
  attempt: number
}

/** A map's overview: bytes 255 sqrt(p), row-major [side, side]. */
export interface StoredOverview extends Pick<AttentionHeadRow, 'layer' | 'head' | 'kvHead' | 'size' | 'overview'> {
  side: number
}

/** Which maps are there: complete ones only, so a running run's grow. */
export interface MapOutline {
  attempt: number
  layers: number[]
  heads: number[]
  /** tokens of each prompt that has maps */
  prompts: { prompt: number; size: number }[]
}

/** The prompts of each run, in order. */
export async function findPrompts(db: Queries, runIds: readonly string[]): Promise<Map<string, AttentionPromptRow[]>> {
  const rows = await db.$queryRaw<{ runId: string; prompt: number; text: string; tokens: unknown }[]>`
    SELECT stored."runId", stored.prompt, stored.text, stored.tokens
    FROM "AttentionPrompt" AS stored JOIN "Run" AS run ON run.id = stored."runId" AND run.attempt = stored.attempt
    WHERE run.id = ANY(${runIds.filter(isRunId)}::uuid[]) ORDER BY stored.prompt`
  const found = new Map<string, AttentionPromptRow[]>(runIds.map((id) => [id, []]))
  for (const { runId, prompt, text, tokens } of rows) found.get(runId)?.push({ prompt, text, tokens: toTokens(tokens) })
  return found
}

function toTokens(value: unknown): PromptToken[] {
  if (!Array.isArray(value)) return []
  return value.map((item: Record<keyof PromptToken, unknown>) => ({
    id: Number(item.id),
    text: String(item.text),
    generated: item.generated === true,
  }))
}

/** Layers, heads and prompts that each run has maps of; a run without any is left out. */
export async function findMapOutline(db: Queries, runIds: readonly string[]): Promise<Map<string, MapOutline>> {
  const rows = await db.$queryRaw<(MapOutline & { runId: string })[]>`
    SELECT stored."runId", stored.attempt, array_agg(DISTINCT stored.layer ORDER BY stored.layer) AS layers,
      array_agg(DISTINCT stored.head ORDER BY stored.head) AS heads,
      jsonb_agg(DISTINCT jsonb_build_object('prompt', stored.prompt, 'size', stored.size)) AS prompts
    FROM "AttentionHead" AS stored JOIN "Run" AS run ON run.id = stored."runId" AND run.attempt = stored.attempt
    WHERE run.id = ANY(${runIds.filter(isRunId)}::uuid[]) GROUP BY stored."runId", stored.attempt`
  return new Map(
    rows.map(({ runId, prompts, ...outline }) => [
      runId,
      { ...outline, prompts: [...prompts].sort((a, b) => a.prompt - b.prompt) },
    ]),
  )
}

export interface HeadFilter {
  prompt: number
  /** all layers where absent */
  layer?: number
  /** all heads where absent */
  heads?: readonly number[]
}

/** The maps of one prompt of a run, by layer and head. */
export async function findAttentionHeads(
  db: Queries,
  runId: string,
  { prompt, layer, heads }: HeadFilter,
): Promise<StoredHead[]> {
  if (!isRunId(runId)) return []
  const ofLayer = layer === undefined ? Prisma.empty : Prisma.sql`AND stored.layer = ${layer}`
  const ofHeads = heads === undefined ? Prisma.empty : Prisma.sql`AND stored.head = ANY(${[...heads]}::int[])`
  return db.$queryRaw<StoredHead[]>`
    SELECT ${headColumns}
    FROM "AttentionHead" AS stored JOIN "Run" AS run ON run.id = stored."runId" AND run.attempt = stored.attempt
    WHERE run.id = ${runId}::uuid AND stored.prompt = ${prompt} ${ofLayer} ${ofHeads}
    ORDER BY stored.layer, stored.head`
}

/** The maps of many layers at once, each by head, in the order of the keys. */
export async function findHeadsOfLayers(db: Queries, keys: readonly LayerKey[]): Promise<StoredHead[][]> {
  const asked = placed(keys)
  const rows = await db.$queryRaw<(StoredHead & { place: number })[]>`
    SELECT asked.place::int AS place, ${headColumns}
    FROM unnest(${asked.map((key) => key.place)}::int[], ${asked.map((key) => key.runId)}::uuid[],
      ${asked.map((key) => key.prompt)}::int[], ${asked.map((key) => key.layer)}::int[]) AS asked(place, run, prompt, layer)
    JOIN "Run" AS run ON run.id = asked.run
    JOIN "AttentionHead" AS stored ON stored."runId" = run.id AND stored.attempt = run.attempt
      AND stored.prompt = asked.prompt AND stored.layer = asked.layer
    ORDER BY stored.head`
  const found: StoredHead[][] = keys.map(() => [])
  for (const { place, ...head } of rows) found[place]?.push(head)
  return found
}

const headColumns = Prisma.sql`stored."runId", stored.attempt, stored.prompt, stored.layer, stored.head, stored."kvHead",
  stored.size, stored."storedAs", stored.entropy`

/** Keys with their places, without those of a run that cannot be. */
export function placed<Key extends { runId: string }>(keys: readonly Key[]): (Key & { place: number })[] {
  return keys.map((key, place) => ({ ...key, place })).filter(({ runId }) => isRunId(runId))
}

export interface OverviewFilter {
  runId: string
  /** the attempt that the reader means: of another than the latest nothing is found; the latest where absent */
  attempt?: number
  prompt: number
  /** all where absent */
  layers?: readonly number[]
}

/** The overviews of a prompt's maps, by layer and head. */
export async function findOverviews(
  db: Queries,
  { runId, attempt, prompt, layers }: OverviewFilter,
): Promise<StoredOverview[]> {
  if (!isRunId(runId)) return []
  const ofAttempt = attempt === undefined ? Prisma.empty : Prisma.sql`AND run.attempt = ${attempt}`
  const ofLayers = layers === undefined ? Prisma.empty : Prisma.sql`AND stored.layer = ANY(${[...layers]}::int[])`
  return db.$queryRaw<StoredOverview[]>`
    SELECT stored.layer, stored.head, stored."kvHead", stored.size, stored."overviewSide" AS side, stored.overview
    FROM "AttentionHead" AS stored JOIN "Run" AS run ON run.id = stored."runId" AND run.attempt = stored.attempt
    WHERE run.id = ${runId}::uuid AND stored.prompt = ${prompt} ${ofAttempt} ${ofLayers}
    ORDER BY stored.layer, stored.head`
}

/** The diversity of each run's layers, by layer; `values` is what heads/diversity's LayerDiversity says. */
export async function findDiversity(db: Queries, runIds: readonly string[]): Promise<Map<string, HeadDiversityRow[]>> {
  const rows = await db.$queryRaw<(HeadDiversityRow & { runId: string })[]>`
    SELECT stored."runId", stored.layer, stored.values
    FROM "HeadDiversity" AS stored JOIN "Run" AS run ON run.id = stored."runId" AND run.attempt = stored.attempt
    WHERE run.id = ANY(${runIds.filter(isRunId)}::uuid[]) ORDER BY stored.layer`
  const found = new Map<string, HeadDiversityRow[]>(runIds.map((id) => [id, []]))
  for (const { runId, ...row } of rows) found.get(runId)?.push(row)
  return found
}

/** Bytes of one value of a stored map. */
export const bytesPerValue = { F32: 4, F16: 2 } as const satisfies Record<StoredDtype, number>
