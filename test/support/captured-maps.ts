import type {
  AttentionHeadRow,
  AttentionPromptRow,
  AttentionTileRow,
  HeadDiversityRow,
  TileStatistic,
} from '../../src/heads/rows.ts'
import { type AttentionMapsSpec, parseSpec } from '../../src/jobs/spec.ts'
import { decodeTile, levelSide, placeTile, storedAs } from '../../src/render/attention-tiles.ts'
import { captureMaps } from '../../src/workers/attention-maps.ts'
import type { Outcome } from '../../src/workers/messages.ts'

/** What a run on attention maps sends to its parent. */
export interface Captured {
  prompts: AttentionPromptRow[]
  tiles: AttentionTileRow[]
  heads: AttentionHeadRow[]
  diversity: HeadDiversityRow[]
  /** kinds of batches in the order sent */
  order: string[]
  fractions: number[]
  messages: string[]
  outcome: Outcome
}

export function mapsSpec(fields: object): AttentionMapsSpec {
  const spec = parseSpec({ kind: 'ATTENTION_MAPS', version: 1, ...fields })
  if (spec.kind !== 'ATTENTION_MAPS') throw new Error('another kind')
  return spec
}

/** Runs the job kind in this process, and keeps what its parent would store. */
export async function capture(
  fields: object,
  places: { dataDir: string; modelRoots?: readonly string[]; maxResultBytes?: number },
): Promise<Captured> {
  const got: Omit<Captured, 'outcome'> = {
    ...{ prompts: [], tiles: [], heads: [], diversity: [] },
    ...{ order: [], fractions: [], messages: [] },
  }
  const outcome = await captureMaps(
    mapsSpec(fields),
    { modelRoots: [], maxResultBytes: 2 ** 32, ...places },
    {
      progress: async (fraction, message) => {
        got.fractions.push(fraction)
        got.messages.push(message)
      },
      subjects: async () => void got.order.push('subjects'),
      series: async () => {
        throw new Error('nothing is timed')
      },
      heads: async (batch) => {
        got.order.push(batch.of)
        if (batch.of === 'attentionPrompts') got.prompts.push(...batch.rows)
        else if (batch.of === 'attentionTiles') got.tiles.push(...batch.rows)
        else if (batch.of === 'attentionHeads') got.heads.push(...batch.rows)
        else if (batch.of === 'headDiversity') got.diversity.push(...batch.rows)
        else throw new Error(batch.of)
      },
    },
  )
  return { ...got, outcome }
}

/** One level of one map put together from its tiles, [side, side]. */
export function levelOf(
  { heads, tiles }: Pick<Captured, 'heads' | 'tiles'>,
  map: { prompt?: number; layer: number; head: number; level?: number; statistic?: TileStatistic },
): Float32Array {
  const { prompt = 0, layer, head, level = 0, statistic = 'MEAN' } = map
  const is = (row: { prompt: number; layer: number; head: number }) =>
    row.prompt === prompt && row.layer === layer && row.head === head
  const size = heads.find(is)?.size
  if (size === undefined) throw new Error(`no map of prompt ${prompt}, layer ${layer}, head ${head}`)
  const side = levelSide(size, level)
  const values = new Float32Array(side * side)
  for (const tile of tiles.filter((one) => is(one) && one.level === level && one.statistic === statistic)) {
    placeTile(values, side, tile, decodeTile(tile.data, storedAs(size)))
  }
  return values
}
