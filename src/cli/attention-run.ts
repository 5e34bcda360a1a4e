import { AppError } from '../errors.ts'
import {
  AttentionMapsDocument,
  type AttentionMapsQuery,
  AttentionMapsRunDocument,
  type AttentionMapsRunQuery,
  AttentionValuesDocument,
} from '../generated/operations.ts'
import { fromOverviewByte, overviewLevel, overviewSide } from '../render/attention-tiles.ts'
import type { HeadMatrix } from '../render/head-groups.ts'
import type { Pooling } from '../render/matrix.ts'
import type { ApiClient } from './client.ts'
import { fetchEvents, type StoredEvent } from './run-events.ts'

type QueriedRun = Extract<NonNullable<AttentionMapsRunQuery['run']>, { spec: unknown }>
type QueriedMaps = Extract<NonNullable<AttentionMapsQuery['run']>, { maps: unknown }>

export type Diversity = QueriedRun['diversity'][number]
export type Estimate = Diversity['all']
export type PromptTokens = QueriedRun['prompts'][number]

/** The maps of one layer over one prompt, without their values. */
export interface LayerMaps {
  prompt: number
  layer: number
  gridUrl: string
  overviewUrl: string
  maps: QueriedMaps['maps']
}

/** An AttentionMapsRun of the public schema, with its maps by prompt and layer. */
export type AttentionMapsRun = QueriedRun & { events: StoredEvent[]; recorded: LayerMaps[] }

/** @throws AppError NOT_FOUND */
export async function fetchAttentionMapsRun(client: ApiClient, id: string): Promise<AttentionMapsRun> {
  const { run } = await client.request(AttentionMapsRunDocument, { id })
  if (run === null || !('spec' in run)) throw noSuchRun(id)
  const recorded: LayerMaps[] = []
  for (const { index: prompt } of run.prompts) {
    for (const layer of run.layers) recorded.push(await fetchMaps(client, id, prompt, layer))
  }
  return { ...run, events: await fetchEvents(client, id), recorded }
}

function noSuchRun(id: string): AppError {
  return new AppError('NOT_FOUND', `No run on attention has the id ${id}`, 'List the runs with: kvscope runs')
}

async function fetchMaps(client: ApiClient, id: string, prompt: number, layer: number): Promise<LayerMaps> {
  const { run } = await client.request(AttentionMapsDocument, { id, layer, prompt })
  if (run === null || !('maps' in run)) throw noSuchRun(id)
  const { gridUrl, overviewUrl, maps } = run
  return { prompt, layer, gridUrl, overviewUrl, maps }
}

/** Maps as a screen can show them: whole up to 64 tokens, above that the greatest of blocks. */
export interface Overview {
  heads: HeadMatrix[]
  pooled: Pooling | null
}

/** The maps of a layer over a prompt at a glance. */
export async function fetchOverview(client: ApiClient, { layer, overviewUrl, maps }: LayerMaps): Promise<Overview> {
  const size = maps[0]?.size ?? 0
  const side = overviewSide(size)
  const bytes = await client.file(`${overviewUrl}&layers=${layer}`)
  if (bytes.byteLength !== maps.length * side * side) {
    throw new AppError(
      'INTERNAL',
      `the overview of layer ${layer} has ${bytes.byteLength} bytes for ${maps.length} maps`,
    )
  }
  const heads = maps.map(({ head, kvHead }, index) => {
    const own = bytes.subarray(index * side * side, (index + 1) * side * side)
    return { head, kvHead, rows: side, columns: side, values: Float32Array.from(own, fromOverviewByte) }
  })
  const level = overviewLevel(size)
  return { heads, pooled: level === 0 ? null : { factor: 2 ** level, by: 'maximum' } }
}

/** Largest map that the server lists, and numbers that it lists in one answer. */
const listed = { tokens: 128, answer: 262_144 }

type ListedMap = LayerMaps['maps'][number] & { values: number[][] | null }

/** A run's maps with their probabilities as lists, as far as the server lists them; null for maps that are too large. */
export async function withProbabilities(
  client: ApiClient,
  run: AttentionMapsRun,
): Promise<Omit<AttentionMapsRun, 'recorded'> & { recorded: (Omit<LayerMaps, 'maps'> & { maps: ListedMap[] })[] }> {
  const recorded: (Omit<LayerMaps, 'maps'> & { maps: ListedMap[] })[] = []
  for (const of of run.recorded) recorded.push({ ...of, maps: await listMaps(client, run.id, of) })
  return { ...run, recorded }
}

async function listMaps(client: ApiClient, id: string, { layer, prompt, maps }: LayerMaps): Promise<ListedMap[]> {
  const size = maps[0]?.size ?? 0
  if (size > listed.tokens) return maps.map((map) => ({ ...map, values: null }))
  const atOnce = Math.max(1, Math.floor(listed.answer / (size * size)))
  const values = new Map<number, number[][] | null>()
  for (let first = 0; first < maps.length; first += atOnce) {
    const heads = maps.slice(first, first + atOnce).map(({ head }) => head)
    const { run } = await client.request(AttentionValuesDocument, { id, layer, prompt, heads })
    if (run === null || !('maps' in run)) throw noSuchRun(id)
    for (const map of run.maps) values.set(map.head, map.values)
  }
  return maps.map((map) => ({ ...map, values: values.get(map.head) ?? null }))
}
