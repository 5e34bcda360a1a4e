import { manyTrialsSpec, tinySpec } from './tiny-spec.ts'
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

/** A run to be killed there; where no trial is waited for a few of them do. */
export const specToKill = (moment: Moment) => (moment === 'in a trial' ? manyTrialsSpec() : tinySpec({ blocks: 8 }))

/** How often in a row, each with its title. */
export const counts: readonly ['once' | 'twice in a row', 1 | 2][] = [
  ['once', 1],
  ['twice in a row', 2],
]

export interface KillCase {
  moment: Moment
  count: 1 | 2
}

/** Every moment, once and twice in a row, each with its title. */
export function killCases(at: readonly Moment[]): [string, KillCase][] {
  return at.flatMap((moment) =>
    counts.map(([often, count]): [string, KillCase] => [`${moment}, ${often}`, { moment, count }]),
  )
}
