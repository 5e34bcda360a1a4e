import type { Projection } from '../heads/rows.ts'
import type { Queries } from './client.ts'
import { isRunId } from './run-id.ts'

/** One stored matrix of one attempt. */
export interface MatrixKey {
  runId: string
  attempt: number
  layer: number
  projection: Projection
  matrix: number
}

export function matrixKey({ runId, attempt, layer, projection, matrix }: MatrixKey): string {
  return `${runId}/${attempt}/${layer}/${projection}/${matrix}`
}

/**
 * The values of stored matrices, row-major [rows, columns], by `matrixKey`; what is no longer there, as where a new attempt
 * has begun and the old one was swept away, is left out. One statement.
 */
export async function findWeightValues(db: Queries, keys: readonly MatrixKey[]): Promise<Map<string, Float32Array>> {
  const valid = keys.filter(({ runId }) => isRunId(runId))
  if (valid.length === 0) return new Map()
  const rows = await db.$queryRaw<(MatrixKey & { values: Uint8Array })[]>`
    SELECT stored."runId", stored.attempt, stored.layer, stored.projection, stored.matrix, stored.values
    FROM unnest(${valid.map(({ runId }) => runId)}::uuid[], ${valid.map(({ attempt }) => attempt)}::int[],
      ${valid.map(({ layer }) => layer)}::int[], ${valid.map(({ projection }) => projection)}::"Projection"[],
      ${valid.map(({ matrix }) => matrix)}::int[]) AS key("runId", attempt, layer, projection, matrix)
    JOIN "WeightMatrix" AS stored USING ("runId", attempt, layer, projection, matrix)`
  return new Map(rows.map((row) => [matrixKey(row), toFloats(row.values)]))
}

/** float32, little-endian; a driver's buffer may begin at any byte. */
function toFloats(bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes)
  return new Float32Array(buffer, byteOffset, byteLength / 4)
}
