import type { AttentionMapsSpec } from '../jobs/spec.ts'
import type { ChildSink, Outcome } from './messages.ts'

/** The job kind ATTENTION_MAPS, in the child. */
export function captureAttention(
  _spec: AttentionMapsSpec,
  _context: { dataDir: string; modelRoots: readonly string[] },
  _sink: ChildSink,
): Promise<Outcome> {
  throw new Error('to be written')
}
