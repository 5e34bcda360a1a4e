import { describe, expect, it } from 'vitest'
import {
  describeTest,
  describeTests,
  expectedCost,
  groupTests,
  planTests,
  stepsOf,
  testOfSubject,
} from '../../../src/bench/plan.ts'
import { benchmarkSpec } from '../../../src/jobs/spec.ts'

const spec = benchmarkSpec.parse({
  kind: 'BENCHMARK',
  version: 1,
  subjects: [{ source: { synthetic: { preset: 'gpt2' } } }],
  tests: [
    { promptTokens: 512 },
    { generatedTokens: 8, depth: 512 },
    { promptTokens: 16, generatedTokens: 4, batch: 2 },
  ],
})

describe('planTests', () => {
  it('puts the forward of the prompt first and names each phase after what is timed', () => {
    expect(planTests(spec, 9).map(({ phase, test, promptTokens }) => [phase, test, promptTokens])).toEqual([
      ['FORWARD', '', 9],
      ['PREFILL', 'pp512', 512],
      ['DECODE', 'tg8 @ d512', 0],
      ['COMBINED', 'pp16+tg4 x2', 16],
    ])
  })
  it('leaves the forward out where there is no prompt', () => {
    expect(planTests(spec, null).map((test) => test.phase)).toEqual(['PREFILL', 'DECODE', 'COMBINED'])
  })
  it('names tests in words a reader knows', () => {
    expect(planTests(spec, 9).map(describeTest)).toEqual([
      'warm forward of the prompt',
      'prefill pp512',
      'decode tg8 @ d512',
      'combined pp16+tg4 x2',
    ])
  })
})

describe('testOfSubject', () => {
  it("takes the forward's length from the subject's own tokens, and every other test as it is", () => {
    const [forward, prefill] = planTests(spec, 9)
    if (!forward || !prefill) throw new Error('a forward and a prefill were planned')
    const tokens = new Array<number>(40).fill(1)
    expect(testOfSubject(forward, tokens)).toEqual({ ...forward, promptTokens: 40 })
    expect(testOfSubject(prefill, tokens)).toBe(prefill)
  })
})

describe('stepsOf', () => {
  it.each([
    [0, []],
    [9, [9]],
    [512, [512]],
    [1100, [512, 512, 76]],
  ])('cuts %i tokens into %j', (tokens, steps) => expect(stepsOf(tokens)).toEqual(steps))
})

describe('expectedCost', () => {
  it('grows with blocks, tokens and the depth to fill', () => {
    const [, prefill, decode] = planTests(spec, 9)
    if (!prefill || !decode) throw new Error('two tests were planned')
    expect(expectedCost(prefill, 20)).toBeGreaterThan(expectedCost(prefill, 10))
    expect(expectedCost({ ...decode, depth: 1024 }, 10)).toBeGreaterThan(expectedCost(decode, 10))
    expect(expectedCost({ ...decode, generatedTokens: 16 }, 10)).toBeGreaterThan(expectedCost(decode, 10))
  })
})

describe('groupTests', () => {
  const tg = (depth: number, batch = 1) => ({ promptTokens: 0, generatedTokens: 4, depth, batch })
  const pp = (depth: number) => ({ promptTokens: 9, generatedTokens: 0, depth, batch: 1 })

  it("puts the points of each of a sweep's lines into the same blocks, and the forward of the prompt into its own", () => {
    const spec = benchmarkSpec.parse({
      kind: 'BENCHMARK',
      version: 1,
      subjects: [{ source: { synthetic: { preset: 'gpt2' } } }],
      tests: [pp(0), pp(16), tg(0), tg(16)],
      sweep: { axis: 'DEPTH', values: [0, 16] },
    })
    const groups = groupTests(planTests(spec, 9), spec.sweep)
    expect(groups.map(describeTests)).toEqual([
      'warm forward of the prompt',
      'prefill pp9 to pp9 @ d16',
      'decode tg4 to tg4 @ d16',
    ])
  })
  it('gives every test blocks of its own where none is swept, or subjects are', () => {
    const tests = [tg(0), tg(16), tg(16, 2)]
    expect(groupTests(tests, null)).toEqual(tests.map((test) => [test]))
    expect(groupTests(tests, { axis: 'THREADS', values: [1, 2] })).toHaveLength(3)
    expect(groupTests(tests, { axis: 'BATCH', values: [1, 2] })).toEqual([[tg(0)], [tg(16), tg(16, 2)]])
  })
})
