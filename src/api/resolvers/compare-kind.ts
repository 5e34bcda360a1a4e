import type { CompareRunsInput } from '../../generated/graphql.ts'
import type { RequestContext } from '../context.ts'
import type { Compared, RunRow } from '../rows.ts'

/** Compares candidates with a baseline of their own kind. */
export type CompareKind<Result extends Compared> = (
  baseline: RunRow,
  candidates: readonly RunRow[],
  input: CompareRunsInput,
  context: RequestContext,
) => Promise<Result>
