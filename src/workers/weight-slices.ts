import type { WeightSlicesSpec } from '../jobs/spec.ts'
import type { ChildSink, Outcome } from './messages.ts'

/** The job kind WEIGHT_SLICES, in the child. */
export function sliceWeights(
  _spec: WeightSlicesSpec,
  _context: { dataDir: string; modelRoots: readonly string[] },
  _sink: ChildSink,
): Promise<Outcome> {
  throw new Error('to be written')
}
