import type { BenchmarkSpec, BenchmarkTest, SweepSpec } from '../jobs/spec.ts'
import { testName } from '../jobs/spec-names.ts'
import { fewestForInterval } from '../stats/bootstrap.ts'
import type { Phase } from '../stats/measured-series.ts'

/** One series to measure of every subject: what is timed, under which name. */
export interface PlannedTest extends BenchmarkTest {
  phase: Phase
  /** llama-bench's name; empty for the forward phase */
  test: string
}

/**
 * Tokens that go through the model in one step: a longer prompt or depth goes in pieces, as llama.cpp's physical batch
 * of 512 does, so that attention scores of [heads, 512, depth] bound the memory.
 */
export const tokensPerStep = 512

/** Fewer blocks than this have no interval; time limits stop early, but not before. */
export const fewestBlocks = fewestForInterval

/**
 * What comes after load and cold: the warm forward of the prompt, then each test of the spec in its order.
 * @param promptTokens of the longest prompt among the subjects, whose tokenizers may differ; null: there is none
 */
export function planTests(spec: BenchmarkSpec, promptTokens: number | null): PlannedTest[] {
  const forward: PlannedTest[] =
    promptTokens === null ? [] : [{ phase: 'FORWARD', test: '', promptTokens, generatedTokens: 0, depth: 0, batch: 1 }]
  return [...forward, ...spec.tests.map((test) => ({ ...test, phase: phaseOf(test), test: testName(test) }))]
}

const sweptFields: Partial<Record<SweepSpec['axis'], keyof BenchmarkTest>> = {
  DEPTH: 'depth',
  PROMPT_TOKENS: 'promptTokens',
  BATCH: 'batch',
}

/**
 * The tests that share blocks. Those of a sweep's line do, which differ in what is swept alone, so that a drift of the
 * machine falls on all of its points and not along the axis; every other test has blocks of its own.
 */
export function groupTests<T extends BenchmarkTest>(tests: readonly T[], sweep: BenchmarkSpec['sweep']): T[][] {
  const swept = sweep === null ? undefined : sweptFields[sweep.axis]
  const groups = new Map<string, T[]>()
  for (const test of tests) {
    const { promptTokens, generatedTokens, depth, batch } = test
    const own = { promptTokens, generatedTokens, depth, batch }
    const line = JSON.stringify(swept === undefined ? own : { ...own, [swept]: null })
    const key = isForward(test) ? 'FORWARD' : line
    groups.set(key, [...(groups.get(key) ?? []), test])
  }
  return [...groups.values()]
}

function isForward(test: BenchmarkTest & { phase?: Phase }): boolean {
  return test.phase === 'FORWARD'
}

/** A test as one subject does it: its warm forward has as many tokens as its own tokenizer makes of the prompt. */
export function testOfSubject(test: PlannedTest, prompt: readonly number[] | null): PlannedTest {
  return test.phase === 'FORWARD' && prompt !== null ? { ...test, promptTokens: prompt.length } : test
}

function phaseOf(test: BenchmarkTest): Phase {
  if (test.generatedTokens === 0) return 'PREFILL'
  return test.promptTokens === 0 ? 'DECODE' : 'COMBINED'
}

/** Positions of the model that one sequence of the test reaches. */
export function positionsOf(test: BenchmarkTest): number {
  return test.depth + test.promptTokens + test.generatedTokens
}

/** `decode tg8 @ d512`, `warm forward of the prompt`: how messages and warnings name a test. */
export function describeTest(test: PlannedTest): string {
  if (test.phase === 'FORWARD') return 'warm forward of the prompt'
  return `${test.phase.toLowerCase()} ${test.test}`
}

/** `decode tg8 @ d0`, or `decode tg8 @ d0 to tg8 @ d512` of tests that share blocks. */
export function describeTests(tests: readonly PlannedTest[]): string {
  const [first] = tests
  const last = tests.at(-1)
  if (first === undefined || last === undefined) return ''
  return tests.length === 1 ? describeTest(first) : `${describeTest(first)} to ${last.test}`
}

/** Splits a count of tokens into steps of at most `tokensPerStep`: 1100 gives 512, 512, 76. */
export function stepsOf(tokens: number): number[] {
  const whole = Math.floor(tokens / tokensPerStep)
  const rest = tokens % tokensPerStep
  return [...new Array<number>(whole).fill(tokensPerStep), ...(rest > 0 ? [rest] : [])]
}

/**
 * How much of the whole run's time the test is likely to take, in arbitrary units, for the progress bar alone: a token
 * of a prompt costs about a thirtieth of a generated one, which reads every weight for itself.
 */
export function expectedCost(test: BenchmarkTest, blocks: number): number {
  const prompt = 1 / 30
  const trial = test.batch * test.promptTokens * prompt + test.generatedTokens
  const warmUpTrials = 2
  return (blocks + warmUpTrials) * trial + test.batch * test.depth * prompt
}
