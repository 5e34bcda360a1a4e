import type { Moment } from './worker-entry.ts'

/** Where things are killed; `enqueued` is between the message and the take. */
export const moments: readonly Moment[] = [
  'enqueued',
  'loading',
  'in a trial',
  'between two writes',
  'before the end',
  'after the end',
]

export interface KillCase {
  moment: Moment
  count: 1 | 2
}

/** Every moment, once and twice in a row, each with its title. */
export function killCases(at: readonly Moment[]): [string, KillCase][] {
  return at.flatMap((moment): [string, KillCase][] => [
    [`${moment}, once`, { moment, count: 1 }],
    [`${moment}, twice in a row`, { moment, count: 2 }],
  ])
}
