import { headMatrices } from '../architecture/head-matrices.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import { type AvailableMemory, availableMemory } from '../bench/memory.ts'
import { AppError } from '../errors.ts'
import type { Projection } from '../heads/rows.ts'
import type { PlannedSlices } from '../jobs/check-weight-slices.ts'

/** Node, and what is read of a tensor at once. */
const processBytes = 150e6

/** The factors of MLA's absorbed forms, which are held beside the products. */
const factors: Partial<Record<Projection, readonly Projection[]>> = { QUK: ['Q', 'UK'], UVO: ['UV', 'O'] }

/**
 * Refuses slices whose layer does not fit into memory, before a weight is read.
 * @throws AppError OUT_OF_MEMORY with the arithmetic
 */
export function ensureMemory(
  plan: readonly PlannedSlices[],
  name: string,
  config: ModelConfig,
  available: AvailableMemory = availableMemory(),
): void {
  const all = plan.map(({ layer, projection }) => {
    const parts = [projection, ...(factors[projection] ?? [])].map((one) => headMatrices(config, layer, one))
    return { layer, parts, values: sum(parts.map(({ count, rows, columns }) => count * rows * columns)) }
  })
  const layers = [...new Set(plan.map(({ layer }) => layer))]
  const held = Math.max(
    0,
    ...layers.map((layer) => sum(all.filter((one) => one.layer === layer).map((one) => one.values))),
  )
  // The largest projection is held twice more while its heads are compared: turned, and with its columns centred.
  const compared = all.flatMap(({ parts }) => parts.slice(0, 1))
  const largest = compared.toSorted((a, b) => b.count * b.rows * b.columns - a.count * a.rows * a.columns)[0]
  if (largest === undefined) return
  const copies = 2 * largest.count
  const needed = processBytes + (held + copies * largest.rows * largest.columns) * 4
  if (needed <= available.bytes) return
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`
  throw new AppError(
    'OUT_OF_MEMORY',
    `a layer of ${name} needs about ${gigabytes(needed)} (${gigabytes(held * 4)} of matrices, and ${copies} copies of ${largest.rows} x ${largest.columns} x 4 B), and ${gigabytes(available.bytes)} are left by the ${available.bound}`,
    'Ask for fewer projections, or free memory.',
  )
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
