import { headMatrices } from '../architecture/head-matrices.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import { AppError } from '../errors.ts'
import { kvGroups } from '../heads/kv-groups.ts'
import type { Projection } from '../heads/rows.ts'
import { checkHeads } from './check-heads.ts'
import type { WeightSlicesSpec } from './spec.ts'

/** What a run may store at most: gpt2-medium's default slices of one layer are 0.4 MB, all of its 1,536 whole matrices 403 MB. */
const mostSliceBytes = 256 * 1024 * 1024
/** Of the likeness of two heads: three numbers as JSON. */
const pairBytes = 60

/** The slices of one projection of one layer. */
export interface PlannedSlices {
  layer: number
  projection: Projection
  /** one for each K/V head (K, V), one in all (DKV), or one a query head, ascending, with those of the asked query heads that read it */
  matrices: { matrix: number; heads: number[] }[]
  /** of each slice */
  rows: number
  columns: number
}

/**
 * Which slices a spec comes to for a model: of each layer and projection the matrices that the asked query heads read.
 * Fewer rows or columns where a matrix has fewer.
 * @throws AppError VALIDATION_FAILED for a layer or head that is not there, CONFIG_UNSUPPORTED for a projection that is not
 */
export function planWeightSlices(spec: WeightSlicesSpec, name: string, config: ModelConfig): PlannedSlices[] {
  checkHeads(spec, name, config)
  const { heads } = config
  const layers = spec.layers ?? [0]
  const asked = spec.heads === null ? null : new Set(spec.heads)
  /** by the number of matrices; the same in every layer, and in a thousand layers made once */
  const planned = new Map<number, PlannedSlices['matrices']>()
  const matricesOf = (count: number) => {
    const found = planned.get(count) ?? readersOf(kvGroups(heads, count), asked)
    planned.set(count, found)
    return found
  }
  return layers
    .toSorted((a, b) => a - b)
    .flatMap((layer) =>
      spec.projections.map((projection) => {
        const { count, rows, columns } = headMatrices(config, layer, projection)
        return {
          layer,
          projection,
          matrices: matricesOf(count),
          rows: Math.min(spec.rows, rows),
          columns: Math.min(spec.columns ?? columns, columns),
        }
      }),
    )
}

/** The matrices that any of the asked query heads reads; all where none in particular is asked for. */
function readersOf(groups: readonly number[][], asked: ReadonlySet<number> | null): PlannedSlices['matrices'] {
  return groups
    .map((group, matrix) => ({ matrix, heads: group.filter((head) => asked?.has(head) ?? true) }))
    .filter(({ heads }) => heads.length > 0)
}

/**
 * Refuses a spec whose slices would take too much of the database.
 * @param maxResultBytes what one run may store in this installation
 * @throws AppError LIMIT_EXCEEDED with the arithmetic, and those of planWeightSlices
 */
export function checkWeightSlices(
  spec: WeightSlicesSpec,
  name: string,
  config: ModelConfig,
  maxResultBytes: number,
): void {
  const plan = planWeightSlices(spec, name, config)
  const slices = plan.reduce((sum, one) => sum + bytesOf(one), 0)
  const limit = Math.min(mostSliceBytes, maxResultBytes)
  const sharing = plan.length * config.heads ** 2 * pairBytes
  const [largest] = plan.toSorted((a, b) => bytesOf(b) - bytesOf(a))
  if (slices + sharing <= limit || largest === undefined) return
  const { matrices, projection, layer, rows, columns } = largest
  throw new AppError(
    'LIMIT_EXCEEDED',
    `${name} in ${plan.length} pairs of layer and projection would take ${mebibytes(slices + sharing)}, more than ${mebibytes(limit)}: ${mebibytes(slices)} of slices, most in W_${projection} of layer ${layer} with ${matrices.length} matrices x ${rows} rows x ${columns} columns x 4 B, and ${mebibytes(sharing)} of likeness, ${plan.length} x ${config.heads} x ${config.heads} heads x ${pairBytes} B`,
    'Ask for fewer layers, projections, heads, rows or columns, or in several runs.',
  )
}

function bytesOf({ matrices, rows, columns }: PlannedSlices): number {
  return matrices.length * rows * columns * 4
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toLocaleString('en', { maximumFractionDigits: 1 })} MiB`
}
