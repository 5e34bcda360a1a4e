import type { StoredHead } from '../db/attention-maps.ts'
import type { RunRow, StoredSeries } from '../db/rows.ts'
import type { RunFilter } from '../db/run-filter.ts'
import type { RunPage } from '../db/run-pages.ts'
import type { SliceFilter, SlicePage } from '../db/weight-slices.ts'
import type { DiversityDifference } from '../heads/compare-diversity.ts'
import type { Projection } from '../heads/rows.ts'
import type { Interval } from '../stats/bootstrap.ts'
import type { ComparableSeries } from '../stats/comparable-series.ts'
import type { ComparisonRow } from '../stats/compare-series.ts'
import type { StoredDiversity } from './presenters/diversity.ts'

/**
 * What resolvers hand on as the parent of each GraphQL type whose fields are not simply there. The generated types of
 * the resolvers name them (tools/generate.mjs).
 */
export type { KvCacheReport } from '../architecture/kv-bytes.ts'
export type { LayerAttention as LayerAttentionFacts } from '../architecture/layer-attention.ts'
export type { ModelFacts } from '../architecture/model-facts.ts'
export type { DescribedPreset } from '../architecture/preset-facts.ts'
export type { StoredHead } from '../db/attention-maps.ts'
export type { BaselineRow, RunEventRow, RunRow, StoredSeries, SubjectRow, WorkerRow } from '../db/rows.ts'
export type { StoredSlice } from '../db/weight-slices.ts'
export type { AttentionPromptRow, HeadSharingRow } from '../heads/rows.ts'

/** A page and the filter behind it, so that totalCount is counted only when asked for. */
export interface RunPageParent extends RunPage {
  filter: RunFilter
}

/** The same of a run's slices. */
export interface SlicePageParent extends SlicePage {
  runId: string
  filter: SliceFilter
}

/** Summaries are computed field by field: an interval takes 2,000 resamples. */
export interface SummaryParent {
  samples: readonly number[]
  /** of the median, where it is known already */
  storedInterval?: Interval | null
}

/** A series as stats compares it, with the row it came from. */
export interface ComparedSource extends ComparableSeries {
  row: StoredSeries
}

export interface ComparedSeries extends ComparisonRow<ComparedSource> {
  candidateId: string
}

/** A tile that a map has; its values are read field by field. */
export interface TileParent {
  map: StoredHead
  level: number
  row: number
  column: number
  rows: number
  columns: number
}

/** The diversity of a layer, with the run that holds it. */
export interface LayerDiversity extends StoredDiversity {
  run: RunRow
}

export interface ComparedDiversity extends DiversityDifference {
  candidateId: string
}

/** A slice of a candidate and of the baseline, of one shape. */
export interface ComparedSlice {
  candidateId: string
  layer: number
  projection: Projection
  /** query head */
  head: number
  maxDifference: number
  cosine: number
  imageUrl: string
}

/** What comparing runs of one kind gives. */
interface ComparedRuns<Kind extends RunRow['kind'], Row> {
  kind: Kind
  /** about the candidates, in their order */
  rows: Row[]
  /** why runs as a whole cannot be compared */
  reasons: string[]
}
export type ComparedBenchmarks = ComparedRuns<'BENCHMARK', ComparedSeries>
export type ComparedDiversities = ComparedRuns<'ATTENTION_MAPS', ComparedDiversity>
export type ComparedSlices = ComparedRuns<'WEIGHT_SLICES', ComparedSlice>
export type Compared = ComparedBenchmarks | ComparedDiversities | ComparedSlices

interface ComparedWith {
  baseline: RunRow
  candidates: RunRow[]
}
export type BenchmarkComparisonParent = ComparedBenchmarks & ComparedWith
export type DiversityComparisonParent = ComparedDiversities & ComparedWith
export type WeightSlicesComparisonParent = ComparedSlices & ComparedWith
export type ComparisonParent = Compared & ComparedWith
