import type { Request } from 'express'
import type { RunRow } from '../../db/rows.ts'
import { AppError } from '../../errors.ts'
import { finalStatuses } from '../../jobs/glossary.ts'
import { version } from '../version.ts'

type KnownRun = Pick<RunRow, 'id' | 'status' | 'attempt'>

/**
 * An address that names an attempt must never show another's results.
 * @throws AppError NOT_FOUND
 */
export function refuseOtherAttempt(run: KnownRun, attempt: number | null): void {
  if (attempt === null || attempt === run.attempt) return
  throw new AppError(
    'NOT_FOUND',
    `run ${run.id} holds no results of attempt ${attempt}; its latest is ${run.attempt}`,
    'Ask GraphQL for the address again, or leave attempt out.',
  )
}

/** How long an answer may be kept. */
export interface Caching {
  'Cache-Control': string
  ETag: string
}

/**
 * Results of a finished attempt never change, since nothing is written but by the attempt that runs: where the address
 * names it, whoever asks may keep the answer for good. Any other answer is forgotten: null. The next version may draw
 * otherwise, so the tag carries ours; it is weak, for compressed or not it is the same.
 */
export function cachingOf(run: KnownRun, attempt: number | null): Caching | null {
  const finished = finalStatuses.some((status) => status === run.status)
  if (!finished || attempt === null) return null
  return {
    'Cache-Control': 'private, max-age=31536000, immutable',
    ETag: `W/"${version}-${run.id}-${attempt}"`,
  }
}

/** Whether the client says that it has the answer already (RFC 9110, section 13.1.2). */
export function isKnown(request: Request, caching: Caching | null): boolean {
  const tags = request.headers['if-none-match']?.split(',') ?? []
  return caching !== null && tags.some((tag) => tag.trim() === caching.ETag || tag.trim() === '*')
}
