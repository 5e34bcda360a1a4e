import type { AvailableMemory } from '../bench/memory.ts'
import { AppError } from '../errors.ts'
import { type CaptureMemory, type CapturePlan, total } from '../models/capture-plan.ts'

/**
 * Refuses maps whose capture does not fit into memory, before a weight is loaded.
 * @param weights bytes of the loaded model
 * @throws AppError OUT_OF_MEMORY with the arithmetic
 */
export function ensureCaptureFits(
  name: string,
  weights: number,
  { chunk, passes }: CapturePlan,
  tokens: number,
  available: AvailableMemory,
): void {
  const [largest] = passes.map((pass) => pass.memory).toSorted((a, b) => total(b) - total(a))
  if (largest === undefined || weights + total(largest) <= available.bytes) return
  const { outputs, copies, bands, kvCache, rest } = largest satisfies CaptureMemory
  throw new AppError(
    'OUT_OF_MEMORY',
    `attention maps of ${tokens} tokens need about ${gigabytes(weights + total(largest))}: ${name} ${gigabytes(weights)} of weights, and in the largest of ${passes.length} passes ${gigabytes(kvCache)} of K/V cache + ${gigabytes(outputs + copies)} of probabilities, ${chunk} rows at a time + ${gigabytes(bands)} of open tiles + ${gigabytes(rest)} in a step; ${gigabytes(available.bytes)} are left by the ${available.bound}`,
    'Ask for fewer tokens, layers or heads, or free memory.',
  )
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`
}
