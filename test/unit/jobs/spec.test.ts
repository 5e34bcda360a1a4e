import { describe, expect, it } from 'vitest'
import { canonicalSpec, parseSpec, specHash, specLimits } from '../../../src/jobs/spec.ts'
import { testName } from '../../../src/jobs/spec-names.ts'

const subject = { source: { synthetic: { preset: 'gpt2' } } }
const benchmark = (fields: object) => ({ kind: 'BENCHMARK', version: 1, subjects: [subject], ...fields })
const refusal = (fields: object) => {
  try {
    parseSpec(benchmark(fields))
  } catch (error) {
    return error
  }
  throw new Error('the spec was accepted')
}

const twoLayers = { synthetic: { preset: 'gpt2', seed: 1, overrides: { n_layer: 2 } } }

describe('a spec', () => {
  it('is filled with its defaults, so that two ways to say the same are one spec', () => {
    const short = parseSpec(benchmark({ tests: [{ generatedTokens: 8 }] }))
    const long = parseSpec({
      seed: 0,
      blocks: 10,
      maxSeconds: null,
      prompt: null,
      tests: [{ batch: 1, depth: 0, generatedTokens: 8, promptTokens: 0 }],
      subjects: [
        {
          threads: null,
          device: 'CPU',
          convert: null,
          name: null,
          source: { synthetic: { seed: 0, overrides: null, preset: 'gpt2' } },
        },
      ],
      version: 1,
      kind: 'BENCHMARK',
    })
    expect(canonicalSpec(short)).toBe(canonicalSpec(long))
    expect(specHash(short)).toBe(specHash(long))
  })

  it.each([
    [
      '2c9a4ef16daee141b2d4a9376df24510addcc67b8d8ba2e582b2e1aa46b9a996',
      {
        kind: 'BENCHMARK',
        version: 1,
        subjects: [
          { source: twoLayers, threads: 1 },
          { source: twoLayers, threads: 1, convert: { kvHeads: 1 } },
        ],
        prompt: 'The cat',
        tests: [{ promptTokens: 16 }, { generatedTokens: 16, depth: 8 }],
        blocks: 40,
      },
    ],
    [
      'a21704ffb76629f7be23cb8b55bd59c612b038af44028c1a8c8c4a4b67836138',
      { kind: 'WEIGHT_SLICES', version: 1, subjects: [{ source: twoLayers }], rows: 8 },
    ],
    [
      '7c7dadb2cf463d5f0af5155518aff9ed37d3bbe21b90a47d97f282e8df27f920',
      { kind: 'ATTENTION_MAPS', version: 1, subjects: [{ source: twoLayers }], tokenIds: [1, 2, 3] },
    ],
  ])('has the hash %s that it had before runtimes, sweeps and placements', (hash, spec) => {
    expect(specHash(parseSpec(spec))).toBe(hash)
  })

  it.each([
    { placement: { hostname: 'lab' } },
    { order: 'GIVEN' as const },
    { warmUp: false },
    { reload: true },
    { targetPrecision: 0.02 },
    { subjects: [{ source: { synthetic: { preset: 'gpt2' } }, dtype: 'F16' as const }] },
  ])('has another hash with %j', (more) => {
    expect(specHash(parseSpec(benchmark(more)))).not.toBe(specHash(parseSpec(benchmark({}))))
  })

  it('has another hash for another seed', () => {
    expect(specHash(parseSpec(benchmark({ seed: 1 })))).not.toBe(specHash(parseSpec(benchmark({ seed: 2 }))))
  })

  it.each([
    ['a test that times nothing', { tests: [{ depth: 4 }] }, /tests\.0 is .*: a test needs promptTokens/],
    [
      'the same test twice',
      { tests: [{ promptTokens: 4 }, { promptTokens: 4, depth: 0 }] },
      /tests is a list of 2: the same test/,
    ],
    ['a field that nothing knows', { block: 3 }, /Unrecognized key: "block"/],
    ['no subject', { subjects: [] }, /subjects is a list of 0/],
    ['a bare config as something to run', { subjects: [{ source: { config: {} } }] }, /local or synthetic/],
    ['a fraction of a token', { tests: [{ promptTokens: 1.5 }] }, /tests\.0\.promptTokens is 1\.5/],
    ['an unknown device', { subjects: [{ ...subject, device: 'TPU' }] }, /subjects\.0\.device is "TPU"/],
  ])('refuses %s and names the field and its value', (_what, fields, message) => {
    expect(refusal(fields)).toMatchObject({ code: 'VALIDATION_FAILED', message: expect.stringMatching(message) })
  })

  it.each([
    ['blocks', { blocks: specLimits.blocks + 1 }],
    ['subjects', { subjects: new Array(specLimits.subjects + 1).fill(subject) }],
    ['prompt', { prompt: '\u00e9'.repeat(specLimits.promptBytes / 2 + 1) }],
    ['tests.0.batch', { tests: [{ promptTokens: 1, batch: specLimits.batch + 1 }] }],
  ])('refuses too much of %s as a limit, in a short message', (field, fields) => {
    const error = refusal(fields)
    expect(error).toMatchObject({ code: 'LIMIT_EXCEEDED', message: expect.stringContaining(field) })
    expect(String(error).length).toBeLessThan(300)
  })

  it("refuses a version it does not know, so that an older worker does not misread a newer API's run", () => {
    expect(() => parseSpec(benchmark({ version: 2 }))).toThrow(/version is 2/)
  })
})

describe("a test's name", () => {
  it.each([
    ['pp512', { promptTokens: 512, generatedTokens: 0, depth: 0, batch: 1 }],
    ['tg128 @ d4096', { promptTokens: 0, generatedTokens: 128, depth: 4096, batch: 1 }],
    ['pp512+tg128 x4', { promptTokens: 512, generatedTokens: 128, depth: 0, batch: 4 }],
  ])("is llama-bench's: %s", (name, test) => {
    expect(testName(test)).toBe(name)
  })
})
