import { describeModel } from '../../../src/architecture/model-facts.ts'
import { withKvHeads } from '../../../src/architecture/pool-kv-heads.ts'
import { findPreset } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import type { Database } from '../../../src/db/client.ts'
import { insertHeadRows } from '../../../src/db/head-rows.ts'
import type { Guard } from '../../../src/db/rows.ts'
import { finishRun, insertRun } from '../../../src/db/runs.ts'
import { startDiversity } from '../../../src/heads/layer-diversity.ts'
import { wholeMap } from '../../../src/heads/map-rows.ts'
import type { AttentionTileRow, PromptToken } from '../../../src/heads/rows.ts'
import { parseSpec, specHash } from '../../../src/jobs/spec.ts'
import { storedAs } from '../../../src/render/attention-tiles.ts'
import { createTilePyramid } from '../../../src/render/tile-pyramid.ts'
import { seededRandom } from '../../../src/stats/random.ts'
import { environment, storeWorker, take } from './stored-runs.ts'

const gpt2 = readModelConfig(findPreset('gpt2').config, 'gpt2')

export interface StoredPrompt {
  text: string
  tokens: string[]
}

export interface AttentionRunOptions {
  prompts?: readonly StoredPrompt[]
  layers?: readonly number[]
  heads?: readonly number[]
  kvHeads?: number
  seed?: number
  diversity?: boolean
  /** RUNNING: the attempt goes on */
  status?: 'SUCCEEDED' | 'FAILED' | 'RUNNING'
}

export interface StoredAttentionRun {
  id: string
  guard: Guard
  /** the map [size, size] of a prompt, layer and head, as it was computed */
  map(prompt: number, layer: number, head: number): Float32Array
}

export const prompts = {
  short: promptOf('The quick brown fox jumps over the lazy dog'),
  /** 300 tokens: two levels, three tiles at the finest */
  long: promptOf(Array.from({ length: 300 }, (_, index) => `w${index % 37}`).join(' ')),
}

export function promptOf(text: string): StoredPrompt {
  return { text, tokens: text.split(/(?= )/) }
}

/** Stores a run as a worker leaves it: maps drawn from a seed, their tiles, overviews and diversity. */
export async function storeAttentionRun(db: Database, options: AttentionRunOptions = {}): Promise<StoredAttentionRun> {
  const { layers = [0, 11], heads = [0, 1, 2, 3], kvHeads = 4, seed = 1, diversity = true } = options
  const stored = options.prompts ?? [prompts.short, prompts.long]
  const id = await storeQueuedAttention(db, kvHeads)
  const guard = await take(db, id, await storeWorker(db))
  const kvHeadOf = (head: number) => Math.floor((head * kvHeads) / 12)
  const map = (prompt: number, layer: number, head: number) =>
    randomMap(stored[prompt]?.tokens.length ?? 0, seed * 1e6 + prompt * 1e4 + layer * 100 + head)
  const promptRows = stored.map(({ text, tokens }, prompt) => ({ prompt, text, tokens: tokens.map(tokenOf) }))
  await insertHeadRows(db, guard, { of: 'attentionPrompts', rows: promptRows })
  for (const [prompt, { tokens }] of stored.entries()) {
    for (const layer of layers) {
      for (const head of heads) {
        await storeMap(
          db,
          guard,
          { prompt, layer, head, kvHead: kvHeadOf(head) },
          map(prompt, layer, head),
          tokens.length,
        )
      }
    }
  }
  if (diversity) {
    const measured = startDiversity({
      layers,
      heads: heads.map((head) => ({ head, kvHead: kvHeadOf(head) })),
      prompts: stored.map(({ text, tokens }) => ({ key: text, tokens: tokens.length })),
    })
    for (const layer of layers) {
      for (const [prompt, { tokens }] of stored.entries()) {
        const all = new Float32Array(heads.length * tokens.length ** 2)
        for (const [index, head] of heads.entries()) all.set(map(prompt, layer, head), index * tokens.length ** 2)
        const ids = tokens.map((text, position) => tokenOf(text, position).id)
        measured.addRows(layer, prompt, wholeMap(all, heads.length, tokens.length), ids)
      }
    }
    const rows = measured.finish().map((values) => ({ layer: values.layer, values }))
    await insertHeadRows(db, guard, { of: 'headDiversity', rows })
  }
  const { status = 'SUCCEEDED' } = options
  if (status === 'SUCCEEDED') await finishRun(db, guard, { status, environment, warnings: [], keyFigure: null })
  if (status === 'FAILED') {
    const error = { code: 'WORKER_CRASHED', message: 'it ended', hint: null } as const
    await finishRun(db, guard, { status, error, log: null })
  }
  return { id, guard, map }
}

async function storeQueuedAttention(db: Database, kvHeads: number): Promise<string> {
  const name = `gpt2-kv${kvHeads}`
  const spec = parseSpec({
    kind: 'ATTENTION_MAPS',
    version: 1,
    subjects: [{ source: { synthetic: { preset: 'gpt2' } }, name, convert: { kvHeads } }],
  })
  const model = describeModel(withKvHeads(gpt2, kvHeads), null)
  const subject = { name, modelName: 'gpt2', kvHeads, device: 'CPU', threads: null, synthetic: true, model } as const
  const { runId } = await insertRun(db, {
    kind: 'ATTENTION_MAPS',
    device: 'CPU',
    spec,
    specHash: specHash(spec),
    subjects: [{ ...subject, attentionKind: model.attentionKind }],
    labels: [],
    note: null,
    idempotencyKey: null,
  })
  return runId
}

function tokenOf(text: string, position: number): PromptToken {
  return { id: (text.length * 31 + (text.codePointAt(1) ?? position)) % 50_257, text, generated: false }
}

/** Rows of softmax over the keys up to the query. */
function randomMap(size: number, seed: number): Float32Array {
  const random = seededRandom(seed)
  const map = new Float32Array(size * size)
  for (let query = 0; query < size; query += 1) {
    const weights = Array.from({ length: query + 1 }, () => Math.exp(4 * random()))
    const sum = weights.reduce((total, weight) => total + weight, 0)
    for (const [key, weight] of weights.entries()) map[query * size + key] = weight / sum
  }
  return map
}

async function storeMap(
  db: Database,
  guard: Guard,
  place: { prompt: number; layer: number; head: number; kvHead: number },
  map: Float32Array,
  size: number,
): Promise<void> {
  const { kvHead, ...at } = place
  const tiles: AttentionTileRow[] = []
  const pyramid = createTilePyramid(size, storedAs(size), (tile) => tiles.push({ ...at, ...tile }))
  pyramid.push(map)
  const overview = pyramid.finish()
  await insertHeadRows(db, guard, { of: 'attentionTiles', rows: tiles })
  const row = { ...at, kvHead, size, storedAs: storedAs(size), entropy: 1.5 }
  const rows = [{ ...row, overviewSide: overview.side, overview: overview.bytes }]
  await insertHeadRows(db, guard, { of: 'attentionHeads', rows })
}
