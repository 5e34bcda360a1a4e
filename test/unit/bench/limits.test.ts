import { describe, expect, it } from 'vitest'
import { findPreset } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { estimateResources, predictPeak } from '../../../src/bench/estimate.ts'
import { ensureMemory, ensurePromptFits, ensureTestsFit, planLoading } from '../../../src/bench/limits.ts'
import { planSubject } from '../../../src/bench/subject-config.ts'
import { benchmarkSpec } from '../../../src/jobs/spec.ts'

const medium = { source: { synthetic: { preset: 'gpt2-medium', seed: 0 } } }
const specOf = (fields: object) => benchmarkSpec.parse({ kind: 'BENCHMARK', version: 1, subjects: [medium], ...fields })
const plansOf = (spec: ReturnType<typeof specOf>) =>
  Promise.all(spec.subjects.map((subject) => planSubject(subject, [])))
const gpt2 = readModelConfig(findPreset('gpt2').config, 'gpt2')

describe('ensureTestsFit', () => {
  it('takes a test that ends at the last position and refuses one token more', async () => {
    const fits = specOf({ tests: [{ promptTokens: 500, generatedTokens: 24, depth: 500 }] })
    const plans = await plansOf(fits)
    expect(() => ensureTestsFit(fits, plans)).not.toThrow()
    const exceeds = specOf({ tests: [{ promptTokens: 500, generatedTokens: 25, depth: 500 }] })
    expect(() => ensureTestsFit(exceeds, plans)).toThrow(/takes 1025 positions .* gpt2-medium has 1024/)
  })
})

describe('ensurePromptFits', () => {
  it('refuses a prompt longer than the context, with both lengths', () => {
    expect(() => ensurePromptFits('gpt2', gpt2, new Array<number>(1025).fill(1))).toThrow(
      /1025 tokens .* 1024 positions/,
    )
  })
  it('refuses a prompt without tokens', () => expect(() => ensurePromptFits('gpt2', gpt2, [])).toThrow(/no tokens/))
  it('refuses an id that has no embedding', () => {
    expect(() => ensurePromptFits('gpt2', gpt2, [1, 50_257])).toThrow(/token 50257, beyond its vocabulary of 50257/)
  })
})

describe('estimateResources', () => {
  it("counts gpt2-medium's file once for the three subjects that share it, and a small file for each conversion", async () => {
    const spec = specOf({
      subjects: [medium, { ...medium, convert: { kvHeads: 4 } }, { ...medium, convert: { kvHeads: 1 } }],
      tests: [{ generatedTokens: 8, depth: 512 }],
    })
    const { diskBytes, memoryBytes, subjects } = await estimateResources(spec, [])
    const parameters = 354_823_168
    const fused = (kvHeads: number) => 24 * 1025 * (1024 + 2 * 64 * kvHeads) * 4
    expect(diskBytes).toBe(parameters * 4 + fused(4) + fused(1))
    expect(subjects.map((subject) => subject.name)).toEqual(['gpt2-medium', 'gpt2-medium-kv4', 'gpt2-medium-kv1'])
    expect(subjects[0]?.kvCache).toBe(24 * 2 * 1024 * 4 * 520)
    expect(subjects[2]?.kvCache).toBe((24 * 2 * 1024 * 4 * 520) / 16)
    expect(memoryBytes).toBeGreaterThan(3 * 1.42e9)
    expect(memoryBytes).toBeLessThan(7e9)
  })
  it('grows with depth and batch', async () => {
    const memory = async (test: object) => (await estimateResources(specOf({ tests: [test] }), [])).memoryBytes
    const one = await memory({ generatedTokens: 8, depth: 100 })
    expect(await memory({ generatedTokens: 8, depth: 900 })).toBeGreaterThan(one)
    expect(await memory({ generatedTokens: 8, depth: 100, batch: 8 })).toBeGreaterThan(one)
  })
})

describe('planLoading', () => {
  const two = [medium, { ...medium, convert: { kvHeads: 1 } }]

  it('loads subjects together where they fit, and a lone one that fits', async () => {
    const spec = specOf({ tests: [{ promptTokens: 512 }] })
    expect(planLoading(spec, await plansOf(spec), { bytes: 4e9, bound: 'machine' })).toEqual({ inTurn: false })
    const both = specOf({ subjects: two, tests: [{ promptTokens: 512 }], reload: false })
    expect(planLoading(both, await plansOf(both), { bytes: 6e9, bound: 'machine' })).toEqual({ inTurn: false })
  })
  it('loads them in turn where each fits alone, and gives the arithmetic', async () => {
    const spec = specOf({ subjects: two, tests: [{ promptTokens: 512 }], reload: false })
    const loading = planLoading(spec, await plansOf(spec), { bytes: 2.5e9, bound: 'machine' })
    expect(loading).toMatchObject({
      inTurn: true,
      message: expect.stringMatching(
        /^together the subjects need about 3\.\d\d GB \(gpt2-medium \d.*; gpt2-medium-kv1 .*\), and 2\.50 GB are left by the machine: .* the largest alone needing [12]\.\d\d GB$/,
      ),
    })
  })
  it('loads them in turn where there are several or that is asked for, however much memory there is', async () => {
    const asked = { inTurn: true, message: null, keepCaches: true }
    for (const fields of [{ subjects: two }, { subjects: two, reload: true }, { subjects: [medium], reload: true }]) {
      const spec = specOf({ ...fields, tests: [{ promptTokens: 512 }] })
      expect(planLoading(spec, await plansOf(spec), { bytes: 64e9, bound: 'machine' })).toEqual(asked)
    }
  })
  it('keeps the filled caches of what is loaded in turn where they fit beside the largest subject', async () => {
    const spec = specOf({ subjects: two, tests: [{ generatedTokens: 8, depth: 1000 }] })
    const plans = await plansOf(spec)
    const { inTurnBytes, inTurnKeptBytes } = await estimateResources(spec, [])
    // 24 layers x 2 x 64 head dim x 4 B a token, of 16 K/V heads and of 1.
    expect(inTurnKeptBytes - inTurnBytes).toBeCloseTo(24 * 2 * 64 * 4 * (16 + 1) * 1000, -2)
    expect(planLoading(spec, plans, { bytes: inTurnKeptBytes, bound: 'machine' })).toMatchObject({ keepCaches: true })
    expect(planLoading(spec, plans, { bytes: inTurnBytes, bound: 'machine' })).toMatchObject({ keepCaches: false })
  })
  it('times the points of a sweep one after the other where their caches do not fit side by side', async () => {
    const tests = [256, 512, 768, 1000].map((depth) => ({ generatedTokens: 8, depth }))
    const spec = specOf({ tests, sweep: { axis: 'DEPTH', values: [256, 512, 768, 1000] } })
    const { memoryBytes, sweptBytes } = await estimateResources(spec, [])
    // Caches of the three shorter ones beside the longest: 24 layers x 2 x 1024 x 4 B a token.
    expect(sweptBytes - memoryBytes).toBeCloseTo(24 * 2 * 1024 * 4 * (264 + 520 + 776), -2)
    const plans = await plansOf(spec)
    expect(planLoading(spec, plans, { bytes: sweptBytes, bound: 'machine' })).toEqual({ inTurn: false })
    expect(planLoading(spec, plans, { bytes: memoryBytes, bound: 'machine' })).toEqual({
      inTurn: false,
      apart: expect.stringMatching(
        /^with a K\/V cache for every point of the sweep the run needs about \d\.\d\d GB, and/,
      ),
    })
    const listed = await estimateResources(specOf({ tests }), [])
    expect(listed.sweptBytes).toBe(listed.memoryBytes)
  })
  it('refuses with the arithmetic when one alone does not fit', async () => {
    const spec = specOf({ tests: [{ promptTokens: 512 }] })
    const plans = await plansOf(spec)
    const refuse = () => planLoading(spec, plans, { bytes: 1e9, bound: 'control group' })
    expect(refuse).toThrow(
      /needs about \d\.\d\d GB .*gpt2-medium \d\.\d\d GB of weights.* 1\.00 GB are left by the control group/,
    )
    expect(refuse).toThrow(expect.objectContaining({ code: 'OUT_OF_MEMORY' }))
    const both = specOf({ subjects: two, tests: [{ promptTokens: 512 }] })
    const plansOfBoth = await plansOf(both)
    expect(() => planLoading(both, plansOfBoth, { bytes: 1e9, bound: 'machine' })).toThrow(/the largest alone/)
  })
  it('counts each subject with the tokens that its own tokenizer makes of the prompt', async () => {
    const overrides = { n_positions: 200_000 }
    const long = { source: { synthetic: { ...medium.source.synthetic, overrides } } }
    const spec = specOf({ subjects: [long, long], prompt: 'long', tests: [], reload: false })
    const plans = await plansOf(spec)
    const available = { bytes: 8e9, bound: 'machine' } as const
    expect(planLoading(spec, plans, available, [9, 9])).toEqual({ inTurn: false })
    // 24 layers x 2 x 1024 x 4 B of cache a token, and scores of 16 heads x 512 tokens a step.
    const cache = ((24 * 2 * 1024 * 4 * 100_000) / 1e9).toFixed(2)
    expect(() => planLoading(spec, plans, available, [9, 100_000])).toThrow(
      new RegExp(`0\\.00 GB of K/V cache .*${cache} GB of K/V cache \\+ \\d+\\.\\d\\d GB in a step`),
    )
  })
})

describe('ensureMemory', () => {
  it('refuses what does not fit together', async () => {
    const spec = specOf({ subjects: [medium, { ...medium, convert: { kvHeads: 1 } }], tests: [{ promptTokens: 512 }] })
    const plans = await plansOf(spec)
    expect(() => ensureMemory(spec, plans, { bytes: 2.5e9, bound: 'machine' })).toThrow(
      expect.objectContaining({ code: 'OUT_OF_MEMORY' }),
    )
    expect(() => ensureMemory(spec, plans, { bytes: 9e9, bound: 'machine' })).not.toThrow()
  })
})

describe('predictPeak', () => {
  const test = { promptTokens: 0, generatedTokens: 8, depth: 512, batch: 1 }
  const large = { promptTokens: 512, generatedTokens: 0, depth: 0, batch: 4 }

  it('counts the weights that are loaded, the caches of the test and the largest step so far', async () => {
    const spec = specOf({ subjects: [medium, { ...medium, convert: { kvHeads: 1 } }] })
    const plans = await plansOf(spec)
    const loaded = (present: number[]) => predictPeak(plans, { present, done: [], cached: [] })
    // 307.6 M parameters, and the tied table of 51.5 M once more.
    expect(loaded([0, 1]) - loaded([0])).toBeCloseTo(4 * (307_574_784 + 50_257 * 1024), -7)
    const cached = predictPeak(plans, { present: [0, 1], done: [], cached: [test] }) - loaded([0, 1])
    expect(cached).toBe(24 * 2 * 1024 * 4 * 520 * (1 + 1 / 16))
    const having = (done: (typeof test)[]) => predictPeak(plans, { present: [0, 1], done, cached: [test] })
    expect(having([large, test])).toBe(having([large]))
    expect(having([large])).toBeGreaterThan(having([test]))
  })
})
