import type { CompareRunsQuery } from '../../generated/operations.ts'

export type BenchmarkComparison = Extract<CompareRunsQuery['compareRuns'], { __typename: 'BenchmarkComparison' }>
export type ComparedRow = BenchmarkComparison['rows'][number]
