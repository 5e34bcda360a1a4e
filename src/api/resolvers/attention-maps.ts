import { readWarnings } from '../../db/results.ts'
import { AppError } from '../../errors.ts'
import type {
  AttentionMapResolvers,
  AttentionMapsRunResolvers,
  AttentionTileResolvers,
  DiversityResolvers,
  PromptTokensResolvers,
} from '../../generated/graphql.ts'
import type { TileStatistic } from '../../heads/rows.ts'
import { decodeTile } from '../../render/attention-tiles.ts'
import {
  attentionArrayAddress,
  attentionGridAddress,
  attentionImageAddress,
  diversityAddress,
  overviewAddress,
  tileAddressTemplate,
} from '../addresses.ts'
import type { RequestContext } from '../context.ts'
import { checkNumbers, mostListedTokens, nested, tileShape, tokensOf } from '../presenters/attention.ts'
import { diversityOf } from '../presenters/diversity.ts'
import type { StoredHead, TileParent } from '../rows.ts'
import { runFields } from './run.ts'

export const attentionMapsRun: AttentionMapsRunResolvers = {
  ...runFields,
  prompts: ({ id }, _args, { loaders }) => loaders.prompts.load(id),
  layers: async ({ id }, _args, { loaders }) => (await loaders.mapOutlines.load(id))?.layers ?? [],
  heads: async ({ id }, _args, { loaders }) => (await loaders.mapOutlines.load(id))?.heads ?? [],
  overviewUrl: (run, { prompt }) => overviewAddress(run, index('prompt', prompt ?? 0)),
  gridUrl: (run, { layer, prompt }) => attentionGridAddress(run, index('prompt', prompt ?? 0), index('layer', layer)),
  async maps({ id: runId }, { layer, heads, prompt }, { loaders }) {
    const key = { runId, prompt: index('prompt', prompt ?? 0), layer: index('layer', layer) }
    const maps = await loaders.attentionHeads.load(key)
    return heads ? maps.filter(({ head }) => heads.includes(head)) : maps
  },
  async diversity(run, { layer }, { loaders }) {
    const rows = (await loaders.diversity.load(run.id)).filter((row) => layer == null || row.layer === layer)
    return rows.map((row) => ({ ...diversityOf(row), run }))
  },
  warnings: ({ warnings }) => readWarnings(warnings),
}

export const promptTokens: PromptTokensResolvers = {
  index: ({ prompt }) => prompt,
  tokens(row, _args, { values }) {
    values.spend(row.tokens.length)
    return tokensOf(row)
  },
}

export const attentionMap: AttentionMapResolvers = {
  async values(map, _args, { loaders, values }) {
    if (map.size > mostListedTokens) return null
    values.spend(map.size * map.size)
    const whole = await loaders.smallMaps.load(map)
    if (whole === null) throw new Error(`run ${map.runId} has no values of a map that it lists`)
    return nested(whole, map.size, map.size, map)
  },
  async row(map, { query }, { loaders, values }) {
    if (query < 0 || query >= map.size) {
      throw new AppError('VALIDATION_FAILED', `query is ${query}`, `The map has queries 0 to ${map.size - 1}.`)
    }
    values.spend(map.size)
    const row = await loaders.mapRows.load({ ...map, query })
    if (row === null) throw new Error(`run ${map.runId} has no row of a map that it lists`)
    checkNumbers(row, map)
    return Array.from(row)
  },
  tile(map, { level, row, column }) {
    const shape = tileShape(map.size, level, row, column)
    return shape && { ...shape, level, map }
  },
  imageUrl: (map) => attentionImageAddress(runOf(map), map.prompt, map.layer, map.head),
  arrayUrl: (map) => attentionArrayAddress(runOf(map), map.prompt, map.layer, map.head),
  tileUrlTemplate: (map) => tileAddressTemplate(runOf(map), map),
}

const runOf = ({ runId, attempt }: StoredHead) => ({ id: runId, attempt })

export const attentionTile: AttentionTileResolvers = {
  mean: (tile, _args, context) => tileValues(tile, 'MEAN', context),
  maximum: (tile, _args, context) => tileValues(tile, 'MAXIMUM', context),
}

async function tileValues(tile: TileParent, statistic: TileStatistic, { loaders, values }: RequestContext) {
  const { map, level, row, column, rows, columns } = tile
  values.spend(rows * columns)
  const stored = await loaders.tiles.load({ ...map, level, row, column, statistic })
  if (stored === null) throw new Error(`run ${map.runId} has no tile ${level}/${row}/${column} of a map that it lists`)
  return nested(decodeTile(stored.data, stored.storedAs), rows, columns, map)
}

export const diversity: DiversityResolvers = {
  heads: ({ heads }) => heads.map(({ head }) => head),
  imageUrl: ({ run, layer }) => diversityAddress(run, layer),
}

/** @throws AppError VALIDATION_FAILED */
function index(name: string, value: number): number {
  if (value >= 0) return value
  throw new AppError('VALIDATION_FAILED', `${name} is ${value}`, 'It is counted from 0.')
}
