import { describe, expect, it } from 'vitest'
import { readConfig } from '../../../src/config.ts'
import { expandSweep } from '../../../src/jobs/expand-sweep.ts'
import { type BenchmarkSpec, type BenchmarkSpecInput, parseSpec } from '../../../src/jobs/spec.ts'
import { testName } from '../../../src/jobs/spec-names.ts'
import { tinySource, tinySpec } from '../../support/tiny-spec.ts'

const { hub } = readConfig({})
const decode = [{ generatedTokens: 8 }]

async function expand(overrides: Partial<BenchmarkSpecInput>): Promise<BenchmarkSpec> {
  const spec = await expandSweep(parseSpec(tinySpec({ subjects: [{ source: tinySource }], ...overrides })), [], hub)
  if (spec.kind !== 'BENCHMARK') throw new Error('a benchmark became something else')
  return spec
}

const testsOf = async (overrides: Partial<BenchmarkSpecInput>) => (await expand(overrides)).tests.map(testName)
const subjectsOf = async (overrides: Partial<BenchmarkSpecInput>) =>
  (await expand(overrides)).subjects.map(({ name, convert, threads }) => [name, convert?.kvHeads ?? null, threads])

describe('a sweep', () => {
  it('of depth, prompt or batch makes a test of each value, in the order of the tests', async () => {
    const tests = [{ generatedTokens: 8 }, { promptTokens: 16 }]
    expect(await testsOf({ tests, sweep: { axis: 'DEPTH', values: [64, 0] } })).toEqual([
      'tg8 @ d64',
      'tg8',
      'pp16 @ d64',
      'pp16',
    ])
    expect(await testsOf({ tests: decode, sweep: { axis: 'BATCH', values: [1, 4] } })).toEqual(['tg8', 'tg8 x4'])
    const prompt = [{ promptTokens: 1, depth: 8 }]
    expect(await testsOf({ tests: prompt, sweep: { axis: 'PROMPT_TOKENS', values: [16, 32] } })).toEqual([
      'pp16 @ d8',
      'pp32 @ d8',
    ])
  })

  it('of K/V heads converts each subject, and leaves alone one that has as many by itself', async () => {
    const sweep = { axis: 'KV_HEADS', values: [4, 2, 1] } as const
    expect(await subjectsOf({ tests: decode, sweep: { ...sweep, values: [...sweep.values] } })).toEqual([
      ['gpt2', null, null],
      ['gpt2-kv2', 2, null],
      ['gpt2-kv1', 1, null],
    ])
  })

  it('of threads names each subject after its number', async () => {
    const subjects = [{ source: tinySource }, { source: tinySource, name: 'mine', convert: { kvHeads: 1 } }]
    const sweep = { axis: 'THREADS' as const, values: [1, 2] }
    expect(await subjectsOf({ subjects, tests: decode, sweep })).toEqual([
      ['gpt2-t1', null, 1],
      ['gpt2-t2', null, 2],
      ['mine-t1', 1, 1],
      ['mine-t2', 1, 2],
    ])
  })

  it('stays in the spec as a record, and a spec without one stays as it is', async () => {
    const sweep = { axis: 'DEPTH' as const, values: [0, 8] }
    expect((await expand({ tests: decode, sweep })).sweep).toEqual(sweep)
    const plain = parseSpec(tinySpec())
    expect(await expandSweep(plain, [], hub)).toBe(plain)
  })

  it.each<[string, Partial<BenchmarkSpecInput>, string]>([
    ['too deep a test', { sweep: { axis: 'DEPTH', values: [0, 1_048_577] } }, 'LIMIT_EXCEEDED'],
    [
      'too many subjects',
      { sweep: { axis: 'THREADS', values: Array.from({ length: 17 }, (_, i) => i + 1) } },
      '17 subjects',
    ],
    [
      'too many tests',
      {
        tests: [{ generatedTokens: 8 }, { promptTokens: 8 }],
        sweep: { axis: 'DEPTH', values: Array.from({ length: 17 }, (_, i) => i) },
      },
      '34 tests of 2; a run has at most 32',
    ],
    [
      'too large a batch',
      { sweep: { axis: 'BATCH', values: [1, 65] } },
      'sweep.values holds 65, and a batch is at most 64',
    ],
    [
      'no threads',
      { sweep: { axis: 'THREADS', values: [0, 1] } },
      'sweep.values holds 0, and a number of threads is at least 1',
    ],
    ['no K/V heads', { sweep: { axis: 'KV_HEADS', values: [0, 1] } }, 'sweep.values holds 0'],
    [
      'an empty prompt',
      { tests: [{ promptTokens: 8 }], sweep: { axis: 'PROMPT_TOKENS', values: [0, 8] } },
      'sweep.values holds 0',
    ],
    ['prompts of tests that have none', { sweep: { axis: 'PROMPT_TOKENS', values: [8, 16] } }, 'tg8 has none'],
    [
      'a test with a depth of its own',
      { tests: [{ generatedTokens: 8, depth: 4 }], sweep: { axis: 'DEPTH', values: [0, 8] } },
      'tg8 @ d4 says its own',
    ],
    [
      'two tests that become one',
      { tests: [{ promptTokens: 8 }, { promptTokens: 9 }], sweep: { axis: 'PROMPT_TOKENS', values: [1, 2] } },
      'the test pp1 of two',
    ],
    ['no test', { tests: [], sweep: { axis: 'DEPTH', values: [0, 8] } }, 'there is none'],
    [
      'a subject that converts already',
      { subjects: [{ source: tinySource, convert: { kvHeads: 2 } }], sweep: { axis: 'KV_HEADS', values: [4, 1] } },
      'subjects.0 has 2 of its own',
    ],
    [
      'a subject with threads of its own',
      { subjects: [{ source: tinySource, threads: 2 }], sweep: { axis: 'THREADS', values: [1, 2] } },
      'subjects.0 has 2 of its own',
    ],
    ['the same value twice', { sweep: { axis: 'DEPTH', values: [8, 8] } }, 'twice'],
    ['one value', { sweep: { axis: 'DEPTH', values: [8] } }, 'sweep.values'],
  ])('is refused with %s', async (_, overrides, told) => {
    await expect(expand({ tests: decode, ...overrides })).rejects.toSatisfy((error: unknown) =>
      `${Object(error).code}: ${Object(error).message}`.includes(told),
    )
  })
})
