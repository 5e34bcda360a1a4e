import type { StartBenchmarkInput } from '../../generated/operations.ts'
import type { RunnableSource } from '../../jobs/spec.ts'
import { fewestPoints } from '../../stats/sweep-axis.ts'
import type { AskedSweep, BenchOptions } from './bench-options.ts'

/** llama-bench's defaults. */
const defaults = { promptTokens: [512], generatedTokens: [128], blocks: 5 }

/**
 * What two models are compared with where neither trials nor precision were asked for: their ratio within half of the
 * margin, so that an interval has room inside it, in at most so many seconds, and for each test in no fewer than `aTest`.
 */
const verdictSeconds = { inAll: 300, aTest: 60 }

/**
 * The benchmark that a command line asks for, in llama-bench's grid: every prompt size and every number of tokens, at every
 * depth and batch. Where one list alone has three values or more, that list is the axis of a sweep.
 */
export function planBench(sources: readonly RunnableSource[], options: BenchOptions): StartBenchmarkInput {
  const sweep = options.sweep ?? impliedSweep(options)
  const subjects = subjectsOf(sources, options, sweep)
  const tests = testsOf(options, sweep)
  return {
    subjects,
    ...(options.prompt === undefined ? {} : { prompt: options.prompt }),
    tests,
    ...howLong(options, subjects.length > 1 || sweepsSubjects(sweep), tests.length * pointsOf(sweep)),
    ...(options.order === undefined ? {} : { order: options.order }),
    ...(options.warmUp ? {} : { warmUp: false }),
    ...(options.reload ? {} : { reload: false }),
    ...(sweep === null ? {} : { sweep }),
    seed: options.seed,
    ...placement(options),
  }
}

/**
 * The list that is swept: where exactly one has several values, enough for a line through its points. Lists of prompts are
 * one where all tests have a prompt.
 */
function impliedSweep(options: BenchOptions): AskedSweep | null {
  const lists: AskedSweep[] = []
  const add = (axis: AskedSweep['axis'], values: readonly number[] = []) => {
    const different = [...new Set(values)]
    if (different.length > 1) lists.push({ axis, values: different })
  }
  add('DEPTH', options.nDepth)
  add('BATCH', options.batch)
  add('THREADS', options.threads)
  add('PROMPT_TOKENS', options.nPrompt)
  const [only] = lists
  if (lists.length !== 1 || only === undefined) return null
  // Two subjects of one model are told apart by a sweep's names.
  if (only.values.length < fewestPoints && only.axis !== 'THREADS') return null
  if (only.axis !== 'PROMPT_TOKENS') return only
  const { generatedTokens } = sizesOf(options)
  return generatedTokens.length > 0 || options.pg !== undefined || only.values.includes(0) ? null : only
}

function sweepsSubjects(sweep: AskedSweep | null): boolean {
  return sweep?.axis === 'KV_HEADS' || sweep?.axis === 'THREADS'
}

/** How many tests a sweep makes of each. */
function pointsOf(sweep: AskedSweep | null): number {
  return sweep === null || sweepsSubjects(sweep) ? 1 : sweep.values.length
}

function sizesOf(options: BenchOptions): { promptTokens: number[]; generatedTokens: number[] } {
  const some = (given: number[] | undefined, otherwise: number[]) => (given ?? otherwise).filter((size) => size > 0)
  return {
    promptTokens: some(options.nPrompt, defaults.promptTokens),
    generatedTokens: some(options.nGen, defaults.generatedTokens),
  }
}

function testsOf(options: BenchOptions, sweep: AskedSweep | null): NonNullable<StartBenchmarkInput['tests']> {
  const { promptTokens, generatedTokens } = sizesOf(options)
  // A sweep writes its values into the tests; what it sets stays out of them.
  const prompts = sweep?.axis === 'PROMPT_TOKENS' ? promptTokens.slice(0, 1) : promptTokens
  const sizes = [
    ...prompts.map((size) => ({ promptTokens: size, generatedTokens: 0 })),
    ...generatedTokens.map((size) => ({ promptTokens: 0, generatedTokens: size })),
    ...(options.pg ?? []),
  ]
  const depths = sweep?.axis === 'DEPTH' ? [0] : (options.nDepth ?? [0])
  const batches = sweep?.axis === 'BATCH' ? [1] : (options.batch ?? [1])
  return batches.flatMap((batch) => depths.flatMap((depth) => sizes.map((size) => ({ ...size, depth, batch }))))
}

function subjectsOf(
  sources: readonly RunnableSource[],
  options: BenchOptions,
  sweep: AskedSweep | null,
): StartBenchmarkInput['subjects'] {
  const { dtype, device } = options
  const shared = {
    ...(dtype === undefined ? {} : { dtype }),
    ...(device === undefined ? {} : { device }),
  }
  const threads = sweep?.axis === 'THREADS' ? [null] : (options.threads ?? [null])
  const pooled = [null, ...(options.kvHeads ?? []).map((kvHeads) => ({ kvHeads }))]
  const runtimes = options.runtime ?? [null]
  // An export brings a graph of its own, whose heads nobody pools: beside the engine it runs the model as it is.
  const variants = pooled.flatMap((convert) =>
    runtimes
      .filter((runtime) => convert === null || runtimes.length === 1 || runtime !== 'TRANSFORMERS_JS')
      .map((runtime) => ({ ...(convert === null ? {} : { convert }), ...(runtime === null ? {} : { runtime }) })),
  )
  return sources.flatMap((source) =>
    variants.flatMap((variant) =>
      threads.map((count) => ({ source, ...shared, ...variant, ...(count === null ? {} : { threads: count }) })),
    ),
  )
}

function howLong(options: BenchOptions, several: boolean, tests: number) {
  const { repetitions, maxSeconds, targetPrecision, margin } = options
  const precision =
    targetPrecision ?? (several && repetitions === undefined && margin > 0 ? Math.min(0.5, margin / 2) : null)
  const forVerdict = Math.max(verdictSeconds.aTest, Math.round(verdictSeconds.inAll / Math.max(1, tests)))
  const seconds = maxSeconds ?? (targetPrecision === undefined && precision !== null ? forVerdict : null)
  return {
    blocks: repetitions ?? defaults.blocks,
    ...(precision === null ? {} : { targetPrecision: precision }),
    ...(seconds === null ? {} : { maxSeconds: seconds }),
  }
}

function placement({ host, worker }: BenchOptions): Pick<StartBenchmarkInput, 'placement'> {
  if (host !== undefined) return { placement: { hostname: host } }
  return worker === undefined ? {} : { placement: { workerId: worker } }
}
