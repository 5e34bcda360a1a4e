import { AppError } from '../errors.ts'
import { isRunId } from './run-id.ts'
import { isStorableTime } from './stored-time.ts'

export const runOrders = ['NEWEST', 'OLDEST', 'FASTEST', 'SLOWEST'] as const
export type RunOrder = (typeof runOrders)[number]

/** What a run is ordered by. */
export type RunPlace =
  | { by: 'queuedAt'; queuedAt: Date; id: string }
  | { by: 'keyFigure'; keyFigure: number | null; id: string }

export function placeOf(order: RunOrder, run: { id: string; queuedAt: Date; keyFigure: number | null }): RunPlace {
  return byTime(order)
    ? { by: 'queuedAt', queuedAt: run.queuedAt, id: run.id }
    : { by: 'keyFigure', keyFigure: run.keyFigure, id: run.id }
}

export function byTime(order: RunOrder): boolean {
  return order === 'NEWEST' || order === 'OLDEST'
}

/** An opaque cursor: the run's place, so that it stays good when runs are added, moved or deleted around it. */
export function encodeCursor(place: RunPlace): string {
  const value = place.by === 'queuedAt' ? ['t', place.queuedAt.getTime(), place.id] : ['k', place.keyFigure, place.id]
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

/** @throws AppError VALIDATION_FAILED where the text is not a cursor of this order */
export function decodeCursor(order: RunOrder, cursor: string): RunPlace {
  const [by, value, id] = parse(cursor)
  if (typeof id === 'string' && isRunId(id)) {
    if (by === 't' && byTime(order) && Number.isSafeInteger(value) && isStorableTime(Number(value))) {
      return { by: 'queuedAt', queuedAt: new Date(Number(value)), id }
    }
    if (by === 'k' && !byTime(order) && (value === null || Number.isFinite(value))) {
      return { by: 'keyFigure', keyFigure: value === null ? null : Number(value), id }
    }
  }
  throw new AppError(
    'VALIDATION_FAILED',
    `${JSON.stringify(cursor.slice(0, 100))} is not a cursor of a list ordered by ${order}`,
    'Give a cursor that a page of the same order has returned.',
  )
}

function parse(cursor: string): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}
