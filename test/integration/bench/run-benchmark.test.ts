import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { estimateResources } from '../../../src/bench/estimate.ts'
import type { BenchSink, OpenedSubject } from '../../../src/bench/result.ts'
import { type BenchmarkOptions, runBenchmark } from '../../../src/bench/run-benchmark.ts'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { benchmarkSpec } from '../../../src/jobs/spec.ts'
import type { MeasuredSeries } from '../../../src/stats/measured-series.ts'
import { rewriteCheckpoint } from '../../support/rewritten-checkpoint.ts'
import { writeTinyCheckpoint } from '../../support/tiny-checkpoint.ts'

const overrides = { n_layer: 2, n_embd: 64, n_head: 4 }
const source = { synthetic: { preset: 'gpt2', seed: 1, overrides } }
const prompt = 'the quick brown fox jumps over the lazy dog'
const layersTimesWidth = 2 * 2 * 64

let dataDir: string
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'kvscope-bench-'))
})
afterAll(() => rm(dataDir, { recursive: true }))

function collect() {
  const seen = {
    progress: [] as [number, string][],
    subjects: [] as OpenedSubject[],
    series: [] as MeasuredSeries[],
    /** series as they were handed over */
    batches: [] as MeasuredSeries[][],
  }
  const sink: BenchSink = {
    progress: (fraction, message) => void seen.progress.push([fraction, message]),
    subjects: (rows) => void seen.subjects.push(...rows),
    series(rows) {
      seen.series.push(...rows)
      seen.batches.push(rows)
    },
  }
  return { seen, sink }
}
const specOf = (fields: object) =>
  benchmarkSpec.parse({ kind: 'BENCHMARK', version: 1, subjects: [{ source }], ...fields })
const run = async (fields: object, modelRoots: string[] = [], options: BenchmarkOptions = {}) => {
  const { seen, sink } = collect()
  const outcome = await runBenchmark(specOf(fields), { dataDir, modelRoots }, sink, options)
  return { ...seen, outcome }
}

describe('runBenchmark', () => {
  it('measures every phase of every subject, interleaved, with K/V bytes as the formula has them', async () => {
    const { series, subjects, progress, outcome } = await run({
      subjects: [{ source }, { source, convert: { kvHeads: 1 } }],
      prompt,
      tests: [
        { promptTokens: 16 },
        { generatedTokens: 4, depth: 20 },
        { promptTokens: 8, generatedTokens: 2, batch: 2 },
      ],
      blocks: 3,
      reload: false,
    })
    expect(subjects.map(({ index, dtype, computeDtype }) => [index, dtype, computeDtype])).toEqual([
      [0, 'F32', 'F32'],
      [1, 'F32', 'F32'],
    ])
    expect(subjects[0]?.fingerprint).not.toBe(subjects[1]?.fingerprint)

    const own = series.filter((one) => one.subjectIndex === 0)
    expect(own.map(({ phase, test, promptTokens, samples }) => [phase, test, promptTokens, samples.length])).toEqual([
      ['LOAD', '', 0, 1],
      ['COLD', '', 9, 1],
      ['FORWARD', '', 9, 3],
      ['PREFILL', 'pp16', 16, 3],
      ['DECODE', 'tg4 @ d20', 0, 3],
      ['COMBINED', 'pp8+tg2 x2', 8, 3],
    ])
    expect(series).toHaveLength(12)
    for (const { samples } of series) for (const sample of samples) expect(sample).toBeGreaterThan(0)

    const bytes = (subject: number, phase: string) =>
      series.find((one) => one.subjectIndex === subject && one.phase === phase)
    const decode = bytes(0, 'DECODE')
    expect(decode?.kvCacheBytes).toBe(layersTimesWidth * 4 * (20 + 3))
    expect(bytes(1, 'DECODE')?.kvCacheBytes).toBe((layersTimesWidth * 4 * (20 + 3)) / 4)
    expect(bytes(0, 'PREFILL')?.kvCacheBytes).toBeNull()
    expect(bytes(0, 'COMBINED')?.kvCacheBytes).toBe(layersTimesWidth * 4 * 9 * 2)
    for (const one of series.filter(({ phase }) => phase !== 'LOAD' && phase !== 'COLD')) {
      expect(one.kvCacheBytes).toBe(one.kvCacheBytesPredicted)
      expect(one.kvCacheBytesAllocated).toBeGreaterThanOrEqual(one.kvCacheBytes ?? 0)
      expect(one.peakMemoryBytes).toBeGreaterThan(10e6)
    }

    const [, middle = Number.NaN] = [...(decode?.samples ?? [])].sort((a, b) => a - b)
    expect(outcome.keyFigure).toBeCloseTo(middle / 4, 6)
    expect(outcome.warnings.map((warning) => warning.code)).toContain('SYNTHETIC_WEIGHTS')
    expect(outcome.environment.cores).toBeGreaterThanOrEqual(1)
    const fractions = progress.map(([fraction]) => fraction)
    expect([...fractions].sort((a, b) => a - b)).toEqual(fractions)
    expect(progress.at(-1)).toEqual([1, 'done'])
    expect(progress.map(([, message]) => message).join('\n')).toMatch(
      /^decode tg4 @ d20: filling the K\/V cache of gpt2$/m,
    )
  })

  it("times the warm forward on each subject's own tokens, whatever the first one's tokenizer makes of the prompt", async () => {
    const bytewise = await writeTinyCheckpoint(join(dataDir, 'bytewise'), 1024)
    const { series } = await run(
      {
        subjects: [{ source }, { source: { local: { path: bytewise } } }],
        prompt: new Array(20).fill(prompt).join(' '),
        blocks: 1,
      },
      [dataDir],
    )
    const lengths = series
      .filter(({ phase }) => phase === 'COLD' || phase === 'FORWARD')
      .map(({ phase, subjectIndex, promptTokens }) => `${phase} ${subjectIndex}: ${promptTokens}`)
    expect(lengths.sort()).toEqual(['COLD 0: 180', 'COLD 1: 879', 'FORWARD 0: 180', 'FORWARD 1: 879'])
    const forward = series.find(({ phase, subjectIndex }) => phase === 'FORWARD' && subjectIndex === 1)
    // The second of its two steps was fed the first one's rows.
    expect(forward?.kvCacheBytes).toBe(2 * 2 * 32 * 4 * 512)
  })

  it('begins no trial before the sink has taken what it was given', async () => {
    const log: string[] = []
    const take = async (what: string) => {
      log.push(`${what} given`)
      await setTimeout(2)
      log.push(`${what} taken`)
    }
    const sink: BenchSink = {
      progress: () => take('progress'),
      subjects: () => take('subjects'),
      series: () => take('series'),
      beforeTrial: () => void log.push('trial'),
    }
    const spec = specOf({ subjects: [{ source }, { source, convert: { kvHeads: 1 } }], tests: [{ promptTokens: 4 }] })
    await runBenchmark({ ...spec, blocks: 30 }, { dataDir, modelRoots: [] }, sink)
    for (const [place, line] of log.entries()) {
      if (line.endsWith('given')) expect(log[place + 1]).toBe(line.replace('given', 'taken'))
    }
    expect(log.filter((line) => line === 'trial').length).toBeGreaterThanOrEqual(2 * 31)
    expect(log.lastIndexOf('series given')).toBeGreaterThan(log.lastIndexOf('trial'))
  })

  it('refuses a test beyond the context before it writes or loads a weight', async () => {
    const refused = run({
      subjects: [{ source: { synthetic: { preset: 'gpt2', seed: 77 } } }],
      tests: [{ promptTokens: 1025 }],
    })
    await expect(refused).rejects.toMatchObject({ code: 'CONTEXT_EXCEEDED' })
    expect((await readdir(join(dataDir, 'weights'))).filter((name) => name.includes('seed77'))).toEqual([])
  })

  it('refuses a prompt that has more tokens than the model has positions', async () => {
    await expect(run({ prompt: 'fox '.repeat(1100) })).rejects.toMatchObject({
      code: 'CONTEXT_EXCEEDED',
      message: expect.stringMatching(/has 110\d tokens .* 1024 positions/),
    })
  })

  it('refuses what the machine has no memory for, before it writes a weight', async () => {
    const huge = { synthetic: { preset: 'gpt2', seed: 78, overrides: { n_layer: 500, n_embd: 8192, n_head: 64 } } }
    await expect(run({ subjects: [{ source: huge }], tests: [{ promptTokens: 8 }] })).rejects.toMatchObject({
      code: 'OUT_OF_MEMORY',
      message: expect.stringMatching(/needs about [\d.]+ GB .* of weights .* are left by the/),
    })
  })

  it('tells a converted 16-bit checkpoint by the dtype of most of its bytes', async () => {
    const whole = await openCheckpoint(await writeTinyCheckpoint(join(dataDir, 'whole')))
    const path = await rewriteCheckpoint(whole, join(dataDir, 'half'), { dtype: 'F16' })
    const local = { source: { local: { path } } }
    const { subjects } = await run({ subjects: [local, { ...local, convert: { kvHeads: 1 } }], blocks: 1 }, [dataDir])
    expect(subjects.map(({ dtype, computeDtype }) => [dtype, computeDtype])).toEqual([
      ['F16', 'F32'],
      ['F16', 'F32'],
    ])
  })

  it('refuses a folder outside the model roots', async () => {
    const local = { local: { path: '/etc' } }
    await expect(run({ subjects: [{ source: local }] }, [dataDir])).rejects.toMatchObject({ code: 'PATH_FORBIDDEN' })
  })

  it('runs a checkpoint from a local folder, and ends blocks early when the time is spent', async () => {
    const [folder] = (await readdir(join(dataDir, 'weights'))).filter((name) => name.startsWith('gpt2-seed1'))
    const local = { local: { path: join(dataDir, 'weights', folder ?? '') } }
    const { series } = await run(
      { subjects: [{ source: local }], tests: [{ promptTokens: 64 }], blocks: 1000, maxSeconds: 0.4 },
      [dataDir],
    )
    const prefill = series.find((one) => one.phase === 'PREFILL')
    expect(prefill?.samples.length).toBeGreaterThanOrEqual(1)
    expect(prefill?.samples.length).toBeLessThan(1000)
    expect(prefill?.warnings.map((warning) => warning.code)).toContain('ENDED_EARLY')
  })

  it('loads subjects in turn, block by block, where they do not fit together, and says so with the arithmetic', async () => {
    const fields = {
      subjects: [{ source }, { source, convert: { kvHeads: 1 } }],
      prompt,
      tests: [{ promptTokens: 16 }, { generatedTokens: 2, depth: 20 }],
      blocks: 3,
      reload: false,
    }
    const [one] = (await estimateResources(specOf(fields), [])).subjects
    const { inTurnBytes } = await estimateResources(specOf(fields), [])
    if (one === undefined) throw new Error('there are two subjects')
    const { series, outcome, progress } = await run(fields, [], { available: { bytes: inTurnBytes, bound: 'machine' } })
    const warning = outcome.warnings.find(({ code }) => code === 'LOADED_IN_TURN')
    expect(warning?.message).toMatch(
      /^together the subjects need about .* GB \(gpt2 .* of weights .*; gpt2-kv1 .*\), and .* are left by the machine/,
    )
    const own = series.filter(({ subjectIndex }) => subjectIndex === 1)
    expect(own.map(({ phase, test, samples }) => [phase, test, samples.length])).toEqual([
      ['LOAD', '', 3],
      ['COLD', '', 3],
      ['FORWARD', '', 3],
      ['PREFILL', 'pp16', 3],
      ['DECODE', 'tg2 @ d20', 3],
    ])
    expect(series).toHaveLength(10)
    const decode = own.at(-1)
    expect(decode?.kvCacheBytes).toBe((layersTimesWidth * 4 * (20 + 1)) / 4)
    expect(decode?.kvCacheBytesPredicted).toBe(decode?.kvCacheBytes)
    const messages = progress.map(([, message]) => message)
    expect(messages).toContain('block 1 of 3: loading gpt2-kv1')
    expect(new Set(messages.filter((message) => message.includes('loading'))).size).toBeLessThanOrEqual(6)
  })

  it('times the points of a sweep in the same blocks, each with a cache of its own depth', async () => {
    const depths = [0, 24, 48]
    const { series, batches } = await run({
      subjects: [{ source }, { source, convert: { kvHeads: 1 } }],
      tests: depths.map((depth) => ({ generatedTokens: 2, depth })),
      sweep: { axis: 'DEPTH', values: depths },
      blocks: 4,
      reload: false,
    })
    const decodes = series.filter(({ phase }) => phase === 'DECODE')
    expect(decodes.map(({ depth, subjectIndex, samples }) => [depth, subjectIndex, samples.length])).toEqual(
      depths.flatMap((depth) => [
        [depth, 0, 4],
        [depth, 1, 4],
      ]),
    )
    for (const { depth, subjectIndex, kvCacheBytes } of decodes) {
      expect(kvCacheBytes).toBe((layersTimesWidth * 4 * (depth + 1)) / (subjectIndex === 0 ? 1 : 4))
    }
    // Stored at once, after a common last block.
    expect(batches.filter(([first]) => first?.phase === 'DECODE')).toEqual([decodes])
  })

  it('says so where the caches of a sweep do not fit side by side', async () => {
    const depths = [200, 400, 600]
    const tests = depths.map((depth) => ({ generatedTokens: 2, depth }))
    const fields = { tests, sweep: { axis: 'DEPTH', values: depths }, blocks: 2 }
    const { memoryBytes } = await estimateResources(specOf(fields), [])
    const { outcome, batches } = await run(fields, [], { available: { bytes: memoryBytes, bound: 'machine' } })
    expect(outcome.warnings.map(({ code }) => code)).toContain('SWEEP_APART')
    expect(batches.map((rows) => rows.map(({ depth }) => depth))).toEqual([[0], [200], [400], [600]])
  })

  it('loads several subjects anew in every block, and warns of nothing', async () => {
    const fields = { subjects: [{ source }, { source }], tests: [{ promptTokens: 8 }], blocks: 2 }
    const { series, outcome } = await run(fields)
    expect(series.map(({ phase, samples }) => [phase, samples.length])).toEqual([
      ['LOAD', 2],
      ['LOAD', 2],
      ['PREFILL', 2],
      ['PREFILL', 2],
    ])
    expect(outcome.warnings.map(({ code }) => code)).not.toContain('LOADED_IN_TURN')
  })

  it('refuses where one subject alone does not fit, before it writes a weight', async () => {
    const fields = { subjects: [{ source: { synthetic: { preset: 'gpt2', seed: 79 } } }, { source }], blocks: 1 }
    await expect(run(fields, [], { available: { bytes: 3e8, bound: 'machine' } })).rejects.toMatchObject({
      code: 'OUT_OF_MEMORY',
      message: expect.stringMatching(/the largest alone 0\.\d\d GB, and 0\.30 GB are left by the machine/),
    })
    expect((await readdir(join(dataDir, 'weights'))).filter((name) => name.includes('seed79'))).toEqual([])
  })

  it("flags the lecture's own method by more than four warnings", async () => {
    const falcon = { model_type: 'falcon', num_hidden_layers: 1, hidden_size: 64, num_attention_heads: 4 }
    const { outcome, series } = await run({
      subjects: [{ source }, { source: { synthetic: { preset: 'falcon-rw-small', seed: 1, overrides: falcon } } }],
      prompt,
      tests: [],
      blocks: 1,
      order: 'GIVEN',
      warmUp: false,
    })
    const codes = outcome.warnings.map(({ code }) => code)
    expect(codes).toEqual(
      expect.arrayContaining(['ORDER_FIXED', 'NOT_WARMED_UP', 'NO_CACHE_READ', 'MODELS_DIFFER', 'SYNTHETIC_WEIGHTS']),
    )
    const forward = series.filter(({ phase }) => phase === 'FORWARD')
    expect(forward.map(({ samples }) => samples.length)).toEqual([1, 1])
    for (const { warnings } of forward) expect(warnings.map(({ code }) => code)).toEqual(['SINGLE_TRIAL'])
  })

  it('goes on until a precision is reached, says how near it is, and what it would take where the time is too short', async () => {
    const fields = {
      subjects: [{ source }, { source, convert: { kvHeads: 1 } }],
      tests: [{ promptTokens: 4 }],
      blocks: 5,
    }
    const wide = await run({ ...fields, targetPrecision: 0.5 })
    expect(wide.series.find(({ phase }) => phase === 'PREFILL')?.samples.length).toBeGreaterThanOrEqual(5)
    expect(wide.series.flatMap(({ warnings }) => warnings.map(({ code }) => code))).not.toContain(
      'PRECISION_NOT_REACHED',
    )
    const narrow = await run({ ...fields, targetPrecision: 0.00001, maxSeconds: 0.5 })
    const [baseline, other] = narrow.series.filter(({ phase }) => phase === 'PREFILL')
    expect(baseline?.warnings.map(({ code }) => code)).not.toContain('PRECISION_NOT_REACHED')
    expect(other?.warnings.find(({ code }) => code === 'PRECISION_NOT_REACHED')).toMatchObject({
      message: expect.stringMatching(
        /^prefill pp4: the interval is within .* % after \d+ blocks, and 0\.0010 % were asked/,
      ),
      advice: expect.stringMatching(/^It would take about \d+ blocks, or \d+ s a test/),
    })
  })

  it('says what every trial reads and computes, and which memory was foreseen', async () => {
    const { series, outcome } = await run({ prompt, tests: [{ generatedTokens: 2, depth: 30 }], blocks: 1 })
    const of = (phase: string) => series.find((one) => one.phase === phase)
    expect(of('LOAD')).toMatchObject({ bytesRead: null, kvBytesRead: null, flops: null })
    expect(of('FORWARD')?.kvBytesRead).toBe(0)
    expect(of('COLD')?.flops).toBe(of('FORWARD')?.flops)
    expect(of('DECODE')?.kvBytesRead).toBe(layersTimesWidth * 4 * (30 + 31))
    expect(of('DECODE')?.bytesRead).toBeGreaterThan(4 * 2 * 50_257 * 64)
    for (const { peakMemoryBytesPredicted } of series) expect(peakMemoryBytesPredicted).toBeGreaterThan(1e8)
    // Weights of a few MB stay in a cache, so memory bounds nothing.
    expect(outcome.environment.bounds).toBeNull()
  })
})
