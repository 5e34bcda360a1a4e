import type { RetentionRule } from '../db/retention.ts'
import { AppError } from '../errors.ts'
import type { RetentionRuleInput } from '../generated/graphql.ts'

const longestName = 100
/** a century */
const mostDays = 36_525

/**
 * The name of a baseline, without the white space around it.
 * @throws AppError VALIDATION_FAILED where nothing is left, LIMIT_EXCEEDED above 100 characters
 */
export function baselineName(given: string): string {
  const name = given.trim()
  const length = [...name].length
  if (length >= 1 && length <= longestName) return name
  throw new AppError(
    length === 0 ? 'VALIDATION_FAILED' : 'LIMIT_EXCEEDED',
    `the name ${JSON.stringify(given.slice(0, 40))} has ${length} characters`,
    `Give 1 to ${longestName} characters; white space around them does not count.`,
  )
}

/** @throws AppError VALIDATION_FAILED */
export function retentionRule({ olderThanDays, keepPerLabel }: RetentionRuleInput): RetentionRule {
  if (!(olderThanDays >= 0 && olderThanDays <= mostDays)) {
    throw new AppError('VALIDATION_FAILED', `olderThanDays is ${olderThanDays}`, `Give 0 to ${mostDays}.`)
  }
  const keep = keepPerLabel ?? 0
  if (keep < 0) throw new AppError('VALIDATION_FAILED', `keepPerLabel is ${keep}`, 'Give 0 or more.')
  return { olderThanDays, keepPerLabel: keep }
}
