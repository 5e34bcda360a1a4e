import { AppError } from '../errors.ts'
import { type Projection, projections } from '../heads/rows.ts'

/** What slices are ordered by. */
export interface SlicePlace {
  layer: number
  projection: Projection
  head: number
}

/** An opaque cursor: the slice's place, which stays good from attempt to attempt. */
export function encodeSliceCursor({ layer, projection, head }: SlicePlace): string {
  return Buffer.from(JSON.stringify([layer, projection, head])).toString('base64url')
}

/** @throws AppError VALIDATION_FAILED where the text is no cursor of a list of slices */
export function decodeSliceCursor(cursor: string): SlicePlace {
  const [layer, name, head] = parse(cursor)
  const projection = projections.find((one) => one === name)
  if (isIndex(layer) && projection !== undefined && isIndex(head)) return { layer, projection, head }
  throw new AppError(
    'VALIDATION_FAILED',
    `${JSON.stringify(cursor.slice(0, 100))} is not a cursor of a list of weight slices`,
    'Give a cursor that a page of slices has returned.',
  )
}

/** Whether PostgreSQL's int holds it. */
function isIndex(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 31
}

function parse(cursor: string): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}
