import { describe, expect, it } from 'vitest'
import { planDemo } from '../../../src/cli/demo-plan.ts'
import { parseSpec } from '../../../src/jobs/spec.ts'

describe("the demo's plan", () => {
  it('asks for the same weights as MHA, GQA and MQA, at nine tokens and at depth', () => {
    const { subjects, tests, prompt } = planDemo({}, 1024)
    expect(
      subjects.map(({ source, convert }) => [source.synthetic?.preset, source.synthetic?.seed, convert?.kvHeads]),
    ).toEqual([
      ['gpt2-medium', 0, undefined],
      ['gpt2-medium', 0, 4],
      ['gpt2-medium', 0, 1],
    ])
    expect(tests).toEqual([{ promptTokens: 256 }, { generatedTokens: 6, depth: 9 }, { generatedTokens: 6, depth: 512 }])
    expect(prompt).toBe('the quick brown fox jumps over the lazy dog')
  })

  it('is cut in sizes and blocks by --quick, in the model by --small', () => {
    const quick = planDemo({ quick: true, small: true }, 1024)
    const full = planDemo({}, 1024)
    expect(quick.blocks ?? 0).toBeLessThan(full.blocks ?? 0)
    expect(quick.maxSeconds ?? 0).toBeLessThan(full.maxSeconds ?? 0)
    expect(quick.subjects.map(({ source }) => source.synthetic?.preset)).toEqual(['gpt2', 'gpt2', 'gpt2'])
  })

  it.each([16, 64, 128, 512, 1024, 131_072])('asks a model of %d positions for no more than it has', (context) => {
    for (const quick of [{}, { quick: true } as const]) {
      const { tests } = planDemo({ ...quick, model: ['/models/a', '/models/b'] }, context)
      for (const { promptTokens, generatedTokens, depth } of tests ?? []) {
        expect((promptTokens ?? 0) + (generatedTokens ?? 0) + (depth ?? 0)).toBeLessThanOrEqual(context)
      }
    }
  })

  it('is a spec that the API takes', () => {
    const { note: _note, labels: _labels, ...spec } = planDemo({ model: ['/models/a'] }, 1024)
    expect(parseSpec({ kind: 'BENCHMARK', version: 1, ...spec })).toMatchObject({ subjects: [{ convert: null }] })
  })
})
