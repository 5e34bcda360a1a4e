import { AppError } from '../errors.ts'
import { requestLimits } from './limits.ts'

/** How many numbers and tokens one request may still be given as JSON: each costs this process a microsecond or so. */
export interface ValueBudget {
  /** @throws AppError LIMIT_EXCEEDED once the request has asked for more than it may */
  spend(values: number): void
}

export function createValueBudget(): ValueBudget {
  let left: number = requestLimits.values
  return {
    spend(values) {
      left -= values
      if (left >= 0) return
      throw new AppError(
        'LIMIT_EXCEEDED',
        `the request asks for more than ${requestLimits.values} numbers in lists`,
        'Ask for fewer heads, rows or tiles at once, or read the addresses, which give bytes.',
      )
    },
  }
}
