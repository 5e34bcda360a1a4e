import { runBenchmark } from '../bench/run-benchmark.ts'
import type { BenchmarkSpec } from '../jobs/spec.ts'
import type { ChildSink, Outcome } from './messages.ts'

/** The job kind BENCHMARK, in the child: everything it knows of measuring is bench's. */
export function measureBenchmark(
  spec: BenchmarkSpec,
  context: { dataDir: string; modelRoots: readonly string[] },
  sink: ChildSink,
): Promise<Outcome> {
  return runBenchmark(spec, context, sink)
}
