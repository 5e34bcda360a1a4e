import DataLoader from 'dataloader'
import {
  findDiversity,
  findHeadsOfLayers,
  findMapOutline,
  findPrompts,
  type LayerKey,
  type MapKey,
  type MapOutline,
  type StoredHead,
} from '../db/attention-maps.ts'
import {
  findMapRows,
  findSmallMaps,
  findTilesByKey,
  type RowKey,
  type StoredTile,
  type TileKey,
} from '../db/attention-tiles.ts'
import type { Database } from '../db/client.ts'
import { readEventsOfRuns } from '../db/events.ts'
import { findSeries } from '../db/results.ts'
import type { RunEventRow, RunLabelRow, RunRow, StoredSeries, SubjectRow } from '../db/rows.ts'
import { queuePositions } from '../db/run-pages.ts'
import { findLabels, findRuns, findRunsOfWorkers, findSubjects } from '../db/run-parts.ts'
import {
  countSlices,
  findHeadSharing,
  pageSlices,
  type SliceFilter,
  type SlicePage,
  type SliceRequest,
} from '../db/weight-slices.ts'
import { findWeightValues, type MatrixKey, matrixKey } from '../db/weight-values.ts'
import type { AttentionPromptRow, HeadDiversityRow, HeadSharingRow, Projection } from '../heads/rows.ts'

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
  prompts: DataLoader<string, AttentionPromptRow[]>
  /** null: the run has no maps yet */
  mapOutlines: DataLoader<string, MapOutline | null>
  diversity: DataLoader<string, HeadDiversityRow[]>
  /** the maps of a layer over a prompt, by head */
  attentionHeads: DataLoader<LayerKey, StoredHead[], string>
  /** whole maps of at most 256 tokens */
  smallMaps: DataLoader<MapKey, Float32Array | null, string>
  mapRows: DataLoader<RowKey, Float32Array | null, string>
  tiles: DataLoader<TileKey, StoredTile | null, string>
  /** values of a stored matrix; null: it is no longer there */
  weightValues: DataLoader<MatrixKey, Float32Array | null, string>
  // Each combination of arguments is a statement of its own; a request rarely has two.
  slices(request: SliceRequest): DataLoader<string, SlicePage | null>
  sliceCounts(filter: SliceFilter): DataLoader<string, number>
  /** null: the run has not read it */
  headSharing(layer: number, projection: Projection): DataLoader<string, HeadSharingRow | null>
  events(after: number, first: number): DataLoader<string, RunEventRow[]>
}

/** Loaders of one request: what many fields ask for one by one is asked of the database once. */
export function createLoaders(db: Database): Loaders {
  return {
    runs: batched((ids) => findRuns(db, ids), null),
    labels: batched((ids) => findLabels(db, ids), []),
    subjects: batched((ids) => findSubjects(db, ids), []),
    series: batched((ids) => findSeries(db, ids), []),
    queuePositions: batched((ids) => queuePositions(db, ids), null),
    runsOfWorkers: batched((ids) => findRunsOfWorkers(db, ids), null),
    prompts: batched((ids) => findPrompts(db, ids), []),
    mapOutlines: batched((ids) => findMapOutline(db, ids), null),
    diversity: batched((ids) => findDiversity(db, ids), []),
    attentionHeads: keyed((keys) => findHeadsOfLayers(db, keys), layerOf),
    smallMaps: keyed((keys) => findSmallMaps(db, keys), mapOf),
    mapRows: keyed(
      (keys) => findMapRows(db, keys),
      (key) => `${mapOf(key)} ${key.query}`,
    ),
    tiles: keyed((keys) => findTilesByKey(db, keys), tileOf),
    weightValues: keyed(async (keys) => {
      const found = await findWeightValues(db, keys)
      return keys.map((key) => found.get(matrixKey(key)) ?? null)
    }, matrixKey),
    slices: perArguments((request) => batched((ids) => pageSlices(db, ids, request), null)),
    sliceCounts: perArguments((filter) => batched((ids) => countSlices(db, ids, filter), 0)),
    headSharing: perArguments((layer, projection) =>
      batched((ids) => findHeadSharing(db, ids, layer, projection), null),
    ),
    events: perArguments((after, first) => batched((ids) => readEventsOfRuns(db, ids, after, first), [])),
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

/** A loader for each combination of arguments, made when it is first asked for. */
function perArguments<Arguments extends unknown[], Loader>(make: (...given: Arguments) => Loader) {
  const known = new Map<string, Loader>()
  return (...given: Arguments): Loader => {
    const key = JSON.stringify(given)
    const loader = known.get(key) ?? make(...given)
    known.set(key, loader)
    return loader
  }
}

/** The same for what a key of several parts finds; `name` tells keys apart. */
function keyed<Key, Value>(load: (keys: readonly Key[]) => Promise<Value[]>, name: (key: Key) => string) {
  return new DataLoader<Key, Value, string>(load, { cacheKeyFn: name })
}

const layerOf = ({ runId, prompt, layer }: LayerKey) => `${runId} ${prompt} ${layer}`
const mapOf = (key: MapKey) => `${layerOf(key)} ${key.head}`
const tileOf = (key: TileKey) => `${mapOf(key)} ${key.level} ${key.row} ${key.column} ${key.statistic}`
