import { findAttentionHeads, findMapOutline, findPrompts, type StoredHead } from '../../db/attention-maps.ts'
import type { Database } from '../../db/client.ts'
import type { RunRow } from '../../db/rows.ts'
import type { AttentionPromptRow } from '../../heads/rows.ts'
import { decodeTile } from '../../render/attention-tiles.ts'
import { csvRecord, csvText } from '../../render/csv.ts'
import { littleEndianBytes } from '../../render/npy.ts'
import { shortestHalf, shortestSingle } from '../../render/shortest-decimal.ts'
import type { Services } from '../context.ts'
import { mostListedTokens } from '../presenters/attention.ts'
import type { ExportedArray } from './exported-array.ts'
import { createMapReader, type MapReader } from './map-reader.ts'
import type { KindContents, RunFields } from './run-contents.ts'

const titles = [
  ...['run', 'status', 'prompt', 'layer', 'head', 'kv_head', 'query', 'key', 'query_token', 'key_token'],
  'probability',
]

/** Attention maps: every map as a whole, the prompts' tokens, and the distances between heads. */
export async function openAttentionMaps({ db }: Services, run: RunRow, fields: RunFields): Promise<KindContents> {
  const prompts = (await findPrompts(db, [run.id])).get(run.id) ?? []
  const maps = await findMaps(db, run)
  const reader = createMapReader(db, maps)
  return {
    arrays: [
      ...prompts.map(tokensArray),
      ...maps.map((map) => mapArray(reader, map)),
      ...distanceArrays(fields.diversity),
    ],
    lists: [
      {
        name: 'maps',
        async *items(inline) {
          for (const map of maps) {
            const { runId: _runId, attempt: _attempt, ...about } = map
            const values = inline && map.size <= mostListedTokens ? { values: await nest(reader, map) } : {}
            yield { ...about, array: arrayName(map), ...values }
          }
        },
      },
    ],
    async *records() {
      yield csvRecord(titles)
      for (const map of maps) yield* recordsOf(run, reader, map, prompts)
    },
  }
}

/** All complete maps of the attempt, by prompt, layer and head. */
async function findMaps(db: Database, run: RunRow): Promise<StoredHead[]> {
  const outline = (await findMapOutline(db, [run.id])).get(run.id)
  const maps: StoredHead[] = []
  for (const { prompt } of outline?.prompts ?? []) {
    const found = await findAttentionHeads(db, run.id, { prompt })
    for (const map of found) if (map.attempt === run.attempt) maps.push(map)
  }
  return maps
}

/** `attention/prompt0/layer23/head7`. */
function arrayName({ prompt, layer, head }: StoredHead): string {
  return `attention/prompt${prompt}/layer${layer}/head${head}`
}

function mapArray(reader: MapReader, map: StoredHead): ExportedArray {
  return {
    name: arrayName(map),
    dtype: map.storedAs === 'F32' ? 'float32' : 'float16',
    shape: [map.size, map.size],
    axes: ['query', 'key'],
    bytes: () => reader(map),
  }
}

function tokensArray({ prompt, tokens }: AttentionPromptRow): ExportedArray {
  return {
    name: `tokens/prompt${prompt}`,
    dtype: 'int64',
    shape: [tokens.length],
    axes: ['position'],
    bytes: () => [littleEndianBytes(BigInt64Array.from(tokens, ({ id }) => BigInt(id)))],
  }
}

/** `diversity/layer23/js_distance`, by pair of the heads that the layer's entry in JSON lists. */
function distanceArrays(diversity: unknown): ExportedArray[] {
  const layers: { layer: number; jsDistance: number[][] }[] = Array.isArray(diversity) ? diversity : []
  return layers.map(({ layer, jsDistance }) => ({
    name: `diversity/layer${layer}/js_distance`,
    dtype: 'float64',
    shape: [jsDistance.length, jsDistance[0]?.length ?? 0],
    axes: ['head', 'head'],
    bytes: () => [littleEndianBytes(Float64Array.from(jsDistance.flat()))],
  }))
}

async function nest(reader: MapReader, map: StoredHead): Promise<number[][]> {
  const rows: number[][] = []
  for await (const band of reader(map)) {
    const values = decodeTile(band, map.storedAs)
    for (let at = 0; at < values.length; at += map.size) rows.push(Array.from(values.subarray(at, at + map.size)))
  }
  return rows
}

/** So many records are written at once, that this process answers others in between. */
const recordsAtOnce = 8_192

/** Keys after the query are left out: they hold nothing but 0. */
async function* recordsOf(
  run: RunRow,
  reader: MapReader,
  map: StoredHead,
  prompts: readonly AttentionPromptRow[],
): AsyncGenerator<string> {
  const { prompt, layer, head, kvHead, size, storedAs } = map
  const shared = csvRecord([run.id, run.status, prompt, layer, head, kvHead]).slice(0, -2)
  const tokens = prompts.find((one) => one.prompt === prompt)?.tokens.map(({ text }) => csvText(text)) ?? []
  const write = storedAs === 'F32' ? shortestSingle : shortestHalf
  let [query, count, piece] = [0, 0, '']
  for await (const band of reader(map)) {
    const values = decodeTile(band, storedAs)
    for (let start = 0; start < values.length; start += size, query += 1) {
      const ofQuery = `${shared},${query},`
      const queryToken = tokens[query] ?? ''
      for (let key = 0; key <= query; key += 1) {
        piece += `${ofQuery}${key},${queryToken},${tokens[key] ?? ''},${write(values[start + key] ?? 0)}\r\n`
      }
      count += query + 1
      if (count < recordsAtOnce) continue
      yield piece
      count = 0
      piece = ''
    }
  }
  if (piece !== '') yield piece
}
