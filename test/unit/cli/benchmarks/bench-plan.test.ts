import { describe, expect, it } from 'vitest'
import type { BenchOptions } from '../../../../src/cli/benchmarks/bench-options.ts'
import { planBench } from '../../../../src/cli/benchmarks/bench-plan.ts'
import { parseSpec } from '../../../../src/jobs/spec.ts'
import { testName } from '../../../../src/jobs/spec-names.ts'

const one = [{ local: { path: '/models/a' } }]
const two = [...one, { local: { path: '/models/b' } }]
const asked = (options: Partial<BenchOptions> = {}): BenchOptions => ({
  seed: 0,
  margin: 0.02,
  warmUp: true,
  reload: true,
  ...options,
})

function plan(sources: typeof one, options: Partial<BenchOptions> = {}) {
  const input = planBench(sources, asked(options))
  const spec = parseSpec({ kind: 'BENCHMARK', version: 1, ...input })
  if (spec.kind !== 'BENCHMARK') throw new Error(spec.kind)
  return { ...spec, names: spec.tests.map(testName) }
}

describe('what a command line asks for', () => {
  it("is llama-bench's pp512 and tg128 in five blocks where nothing else is said", () => {
    expect(plan(one)).toMatchObject({ names: ['pp512', 'tg128'], blocks: 5, targetPrecision: null, maxSeconds: null })
  })

  it('runs each model in every engine asked for, and pools heads in its own alone', () => {
    const { subjects } = plan(one, { runtime: ['KVSCOPE', 'TRANSFORMERS_JS'], kvHeads: [1] })
    expect(subjects.map(({ runtime, convert }) => [runtime, convert?.kvHeads ?? null])).toEqual([
      ['KVSCOPE', null],
      ['TRANSFORMERS_JS', null],
      ['KVSCOPE', 1],
    ])
    expect(plan(one, { runtime: ['TRANSFORMERS_JS'] }).subjects).toMatchObject([{ runtime: 'TRANSFORMERS_JS' }])
  })

  it('goes on until two models can be told apart, unless trials or a precision were asked for', () => {
    expect(plan(two)).toMatchObject({ targetPrecision: 0.01, maxSeconds: 150 })
    expect(plan(two, { nPrompt: [1, 2, 3], nDepth: [0, 9] })).toMatchObject({ maxSeconds: 60 })
    expect(plan(one, { kvHeads: [1] })).toMatchObject({ targetPrecision: 0.01 })
    expect(plan(two, { margin: 0.1, maxSeconds: 5 })).toMatchObject({ targetPrecision: 0.05, maxSeconds: 5 })
    expect(plan(two, { repetitions: 7 })).toMatchObject({ blocks: 7, targetPrecision: null, maxSeconds: null })
    expect(plan(two, { targetPrecision: 0.03 })).toMatchObject({ targetPrecision: 0.03, maxSeconds: null })
    expect(plan(two, { margin: 0 })).toMatchObject({ targetPrecision: null, maxSeconds: null })
  })

  it('takes -pg besides the others, and 0 for none', () => {
    const pg = [{ promptTokens: 64, generatedTokens: 16 }]
    expect(plan(one, { pg }).names).toEqual(['pp512', 'tg128', 'pp64+tg16'])
    expect(plan(one, { pg, nPrompt: [0], nGen: [0] }).names).toEqual(['pp64+tg16'])
  })

  it('sweeps along the one list that has enough values for a line, and makes a grid of several lists', () => {
    expect(plan(one, { nPrompt: [0], nGen: [8], nDepth: [0, 32, 64] })).toMatchObject({
      names: ['tg8'],
      sweep: { axis: 'DEPTH', values: [0, 32, 64] },
    })
    const prompts = [16, 32, 64]
    expect(plan(one, { nPrompt: prompts, nGen: [0] }).sweep).toEqual({ axis: 'PROMPT_TOKENS', values: prompts })
    expect(plan(one, { nPrompt: prompts })).toMatchObject({ names: ['pp16', 'pp32', 'pp64', 'tg128'], sweep: null })
    expect(plan(one, { nDepth: [0, 32], nPrompt: [0], nGen: [8] })).toMatchObject({
      names: ['tg8', 'tg8 @ d32'],
      sweep: null,
    })
    expect(plan(one, { nPrompt: [0], nGen: [8], nDepth: [0, 32], batch: [1, 2] })).toMatchObject({
      names: ['tg8', 'tg8 @ d32', 'tg8 x2', 'tg8 @ d32 x2'],
      sweep: null,
    })
    const threads = plan(one, { threads: [1, 2], nPrompt: [8], nGen: [0] })
    expect(threads).toMatchObject({ sweep: { axis: 'THREADS', values: [1, 2] }, targetPrecision: 0.01 })
    expect(threads.subjects.map((subject) => subject.threads)).toEqual([null])
  })

  it('hands on what each subject runs with, and who must take the run', () => {
    const spec = plan(one, { kvHeads: [2], threads: [3], dtype: 'F16', order: 'GIVEN', warmUp: false, host: 'alpha' })
    expect(spec.subjects.map(({ convert, threads, dtype }) => [convert?.kvHeads ?? null, threads, dtype])).toEqual([
      [null, 3, 'F16'],
      [2, 3, 'F16'],
    ])
    expect(spec).toMatchObject({ order: 'GIVEN', warmUp: false, placement: { hostname: 'alpha', workerId: null } })
  })
})
