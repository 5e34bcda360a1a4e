import { AppError } from '../../errors.ts'
import type { AttentionPromptRow } from '../../heads/rows.ts'
import { causalTiles, levelCount } from '../../render/attention-tiles.ts'
import type { StoredHead } from '../rows.ts'

/** Most tokens of a map that GraphQL gives as nested lists. */
export const mostListedTokens = 128

/** A prompt's tokens with their positions. */
export function tokensOf({ tokens }: AttentionPromptRow) {
  return tokens.map((token, position) => ({ ...token, position }))
}

/**
 * Row-major values as a list of rows.
 * @throws AppError CHECKPOINT_INVALID where one is not a number, which JSON cannot say
 */
export function nested(values: Float32Array, rows: number, columns: number, map: StoredHead): number[][] {
  checkNumbers(values, map)
  return Array.from({ length: rows }, (_, row) => Array.from(values.subarray(row * columns, (row + 1) * columns)))
}

/** @throws AppError CHECKPOINT_INVALID where a value is not a number */
export function checkNumbers(values: ArrayLike<number>, { layer, head }: Pick<StoredHead, 'layer' | 'head'>): void {
  for (let index = 0; index < values.length; index += 1) {
    if (Number.isFinite(values[index])) continue
    throw new AppError(
      'CHECKPOINT_INVALID',
      `the attention map of layer ${layer}, head ${head} holds ${values[index]}`,
      'Weights that hold NaN or infinity give such maps: look at the checkpoint. arrayUrl gives them as they are.',
    )
  }
}

/** Rows and columns of a tile; null above the diagonal and beyond the map. */
export function tileShape(size: number, level: number, row: number, column: number) {
  if (level < 0 || level >= levelCount(size)) return null
  return causalTiles(size, level).find((tile) => tile.row === row && tile.column === column) ?? null
}
