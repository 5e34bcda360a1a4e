import { readWarnings } from '../../db/results.ts'
import { defaultPageSize } from '../../db/run-pages.ts'
import { AppError } from '../../errors.ts'
import type {
  HeadSharingResolvers,
  WeightSliceConnectionResolvers,
  WeightSliceResolvers,
  WeightSlicesRunResolvers,
} from '../../generated/graphql.ts'
import { weightArrayAddress, weightGridAddress, weightImageAddress } from '../addresses.ts'
import { weightDtypeOf } from '../presenters/run.ts'
import { checkListed, kvHeadOfSlice, rowsOfSlice, sliceId } from '../presenters/weight-slices.ts'
import type { StoredSlice } from '../rows.ts'
import { checkPageSize } from './query.ts'
import { runFields } from './run.ts'

export const weightSlicesRun: WeightSlicesRunResolvers = {
  ...runFields,
  async slices({ id: runId }, { first, after, layer, projection, heads }, { loaders }) {
    checkPageSize('first', first)
    const filter = { layer, projection, heads }
    const page = await loaders.slices({ ...filter, first: first ?? defaultPageSize, after }).load(runId)
    return { ...(page ?? { edges: [], hasNextPage: false, hasPreviousPage: false }), runId, filter }
  },
  sharing: ({ id }, { layer, projection }, { loaders }) => loaders.headSharing(layer, projection).load(id),
  gridUrl: (run, { layer, projection }) => weightGridAddress(run, checkLayer(layer), projection),
  warnings: ({ warnings }) => readWarnings(warnings),
}

/** @throws AppError VALIDATION_FAILED */
function checkLayer(layer: number): number {
  if (layer >= 0) return layer
  throw new AppError('VALIDATION_FAILED', `layer is ${layer}`, 'Layers are counted from 0.')
}

export const weightSliceConnection: WeightSliceConnectionResolvers = {
  edges: ({ edges }) => edges,
  nodes: ({ edges }) => edges.map(({ node }) => node),
  pageInfo: ({ edges, hasNextPage, hasPreviousPage }) => ({
    hasNextPage,
    hasPreviousPage,
    startCursor: edges[0]?.cursor ?? null,
    endCursor: edges.at(-1)?.cursor ?? null,
  }),
  totalCount: ({ runId, filter }, _args, { loaders }) => loaders.sliceCounts(filter).load(runId),
}

export const weightSlice: WeightSliceResolvers = {
  id: (slice) => sliceId(slice),
  kvHead: (slice) => kvHeadOfSlice(slice),
  async values(slice, _args, { loaders, values }) {
    checkListed(slice)
    values.spend(slice.rows * slice.columns)
    const stored = await loaders.weightValues.load(slice)
    if (stored !== null) return rowsOfSlice(stored, slice)
    throw new AppError('NOT_FOUND', `run ${slice.runId} has begun a new attempt`, 'Read its slices again.')
  },
  tensorRows: ({ tensorRows }, _args, { values }) => listed(tensorRows, values),
  tensorColumns: ({ tensorColumns }, _args, { values }) => listed(tensorColumns, values),
  dtype: ({ dtype }) => weightDtypeOf(dtype),
  imageUrl: (slice) => weightImageAddress(runOf(slice), slice.layer, slice.projection, slice.head),
  arrayUrl: (slice) => weightArrayAddress(runOf(slice), slice.layer, slice.projection, slice.head),
}

const runOf = ({ runId, attempt }: StoredSlice) => ({ id: runId, attempt })

export const headSharing: HeadSharingResolvers = {
  maxDifference: ({ maxDifference }, _args, { values }) => squareOf(maxDifference, values),
  cosine: ({ cosine }, _args, { values }) => squareOf(cosine, values),
  cka: ({ cka }, _args, { values }) => squareOf(cka, values),
}

function listed(numbers: number[], values: { spend(count: number): void }): number[] {
  values.spend(numbers.length)
  return numbers
}

function squareOf(square: number[][], values: { spend(count: number): void }): number[][] {
  values.spend(square.length ** 2)
  return square
}
