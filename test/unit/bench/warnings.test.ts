import { describe, expect, it } from 'vitest'
import { keyFigureOf } from '../../../src/bench/key-figure.ts'
import type { PlannedTest } from '../../../src/bench/plan.ts'
import { progressOf } from '../../../src/bench/progress.ts'
import { runWarnings, seriesWarnings } from '../../../src/bench/warnings.ts'
import type { MeasuredSeries } from '../../../src/stats/measured-series.ts'

const quiet = {
  hostname: 'kiln',
  cpu: 'EPYC',
  cores: 2,
  memoryBytes: 1,
  os: 'linux',
  node: '20',
  onnxruntime: '1',
  kvscope: '0',
  loadAtStart: 0.1,
  timingVersion: 1,
  bounds: null,
}
const decode: PlannedTest = {
  phase: 'DECODE',
  test: 'tg8 @ d512',
  promptTokens: 0,
  generatedTokens: 8,
  depth: 512,
  batch: 1,
}
const codes = (warnings: { code: string }[]) => warnings.map((warning) => warning.code)

describe('runWarnings', () => {
  it('says nothing of trained weights on a quiet CPU', () => {
    expect(runWarnings([{ name: 'a', device: 'CPU', synthetic: false }], quiet)).toEqual([])
  })
  it('names synthetic subjects, a cache that crosses the bus and a busy machine, each with advice', () => {
    const warnings = runWarnings(
      [
        { name: 'a', device: 'CPU', synthetic: true },
        { name: 'b', device: 'CUDA', synthetic: false },
      ],
      { ...quiet, loadAtStart: 1.5 },
    )
    expect(codes(warnings)).toEqual(['SYNTHETIC_WEIGHTS', 'CACHE_CROSSES_BUS', 'LOAD_HIGH'])
    expect(warnings[0]?.message).toMatch(/^a: /)
    expect(warnings[1]?.message).toMatch(/^b: .*CUDA/)
    for (const { advice } of warnings) expect(advice).not.toBe('')
  })
})

describe('seriesWarnings', () => {
  const asked = { blocks: 10, maxSeconds: 4, clockResolution: 0.0001 }
  const steady = (count: number) => Array.from({ length: count }, (_, index) => 100 + (index % 3))

  it('says nothing of ten steady samples', () => expect(seriesWarnings(decode, steady(10), asked)).toEqual([]))
  it('says when blocks ended early, and when they are few', () => {
    expect(codes(seriesWarnings(decode, steady(7), asked))).toEqual(['ENDED_EARLY'])
    const few = seriesWarnings(decode, steady(3), asked)
    expect(codes(few)).toEqual(['ENDED_EARLY', 'FEW_BLOCKS'])
    expect(few[0]?.message).toBe('decode tg8 @ d512: 3 of 10 blocks in the 4 s allowed')
  })
  it('says when samples scatter or the clock is too coarse for them', () => {
    expect(codes(seriesWarnings(decode, [100, 130, 90, 120, 95, 85, 125, 100, 110, 80], asked))).toEqual(['UNSTEADY'])
    expect(codes(seriesWarnings(decode, steady(10), { ...asked, clockResolution: 15 }))).toEqual(['CLOCK_COARSE'])
  })
})

describe('keyFigureOf', () => {
  const series = (fields: Partial<MeasuredSeries>): MeasuredSeries => ({
    subjectIndex: 0,
    ...decode,
    samples: [80],
    kvCacheBytes: null,
    kvCacheBytesPredicted: null,
    kvCacheBytesAllocated: null,
    peakMemoryBytes: null,
    peakMemoryBytesPredicted: null,
    bytesRead: null,
    kvBytesRead: null,
    flops: null,
    warnings: [],
    ...fields,
  })
  const prefill = series({
    phase: 'PREFILL',
    test: 'pp512',
    promptTokens: 512,
    generatedTokens: 0,
    depth: 0,
    samples: [512],
  })

  it("is the first subject's decode at the greatest depth, per token", () => {
    const shallow = series({ depth: 9, samples: [40] })
    expect(
      keyFigureOf([prefill, shallow, series({ samples: [80, 88, 96] }), series({ subjectIndex: 1, depth: 900 })]),
    ).toBe(11)
  })
  it('is the prefill where nothing is decoded, and the forward where there is neither', () => {
    const forward = series({ phase: 'FORWARD', test: '', promptTokens: 9, generatedTokens: 0, depth: 0, samples: [63] })
    expect(keyFigureOf([forward, prefill])).toBe(1)
    expect(keyFigureOf([forward])).toBe(7)
    expect(keyFigureOf([series({ phase: 'LOAD', samples: [1500] })])).toBeNull()
  })
})

describe('progressOf', () => {
  it('never falls, maps parts into the whole, and drops messages that come too quickly', () => {
    let time = 0
    const seen: [number, string][] = []
    const progress = progressOf({ progress: (fraction, message) => void seen.push([fraction, message]) }, () => time)
    const first = progress.share(0, 0.5)
    const second = progress.share(0.5, 1)
    first(0, 'a')
    time += 10
    first(0.5, 'too soon')
    time += 300
    first(0.5, 'b')
    first(0.1, 'too soon')
    time += 300
    first(0.1, 'never falls')
    second(0, 'c')
    progress.finish('d')
    expect(seen).toEqual([
      [0, 'a'],
      [0.25, 'b'],
      [0.25, 'never falls'],
      [0.5, 'c'],
      [1, 'd'],
    ])
  })
})
