import DataLoader from 'dataloader'
import type { Database } from '../db/client.ts'
import { readEventsOfRuns } from '../db/events.ts'
import { findSeries } from '../db/results.ts'
import type { RunEventRow, RunLabelRow, RunRow, StoredSeries, SubjectRow } from '../db/rows.ts'
import { queuePositions } from '../db/run-pages.ts'
import { findLabels, findRuns, findRunsOfWorkers, findSubjects } from '../db/run-parts.ts'

export interface Loaders {
  runs: DataLoader<string, RunRow | null>
  labels: DataLoader<string, RunLabelRow[]>
  subjects: DataLoader<string, SubjectRow[]>
  /** of the run's latest attempt */
  series: DataLoader<string, StoredSeries[]>
  /** null: the run is not queued */
  queuePositions: DataLoader<string, number | null>
  /** by worker */
  runsOfWorkers: DataLoader<string, RunRow | null>
  /** Each combination of `after` and `first` is a statement of its own; a request rarely has two. */
  events(after: number, first: number): DataLoader<string, RunEventRow[]>
}

/** Loaders of one request: what many fields ask for one by one is asked of the database once. */
export function createLoaders(db: Database): Loaders {
  const events = new Map<string, DataLoader<string, RunEventRow[]>>()
  return {
    runs: batched((ids) => findRuns(db, ids), null),
    labels: batched((ids) => findLabels(db, ids), []),
    subjects: batched((ids) => findSubjects(db, ids), []),
    series: batched((ids) => findSeries(db, ids), []),
    queuePositions: batched((ids) => queuePositions(db, ids), null),
    runsOfWorkers: batched((ids) => findRunsOfWorkers(db, ids), null),
    events(after, first) {
      const key = `${after} ${first}`
      const known = events.get(key)
      if (known) return known
      const loader = batched((ids) => readEventsOfRuns(db, ids, after, first), [])
      events.set(key, loader)
      return loader
    },
  }
}

function batched<Value, Absent>(
  load: (ids: readonly string[]) => Promise<ReadonlyMap<string, Value>>,
  absent: Absent,
): DataLoader<string, Value | Absent> {
  return new DataLoader(async (ids: readonly string[]) => {
    const found = await load(ids)
    return ids.map((id) => found.get(id) ?? absent)
  })
}
