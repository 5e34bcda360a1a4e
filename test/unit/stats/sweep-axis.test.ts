import { describe, expect, it } from 'vitest'
import { findSweep, regressorOf, type SweptSeries, type SweptSubject, timesOf } from '../../../src/stats/sweep-axis.ts'

const subjects: SweptSubject[] = [
  { index: 0, identity: 'gpt2', kvHeads: 12, threads: 2 },
  { index: 1, identity: 'gpt2', kvHeads: 4, threads: 2 },
  { index: 2, identity: 'gpt2', kvHeads: 1, threads: 2 },
]

function decode(subjectIndex: number, depth: number, batch = 1): SweptSeries {
  const test = `tg32${depth > 0 ? ` @ d${depth}` : ''}${batch > 1 ? ` x${batch}` : ''}`
  const sizes = { promptTokens: 0, generatedTokens: 32, depth, batch }
  return { subjectIndex, phase: 'DECODE', test, ...sizes, samples: [64, 96] }
}
function prefill(subjectIndex: number, promptTokens: number): SweptSeries {
  const sizes = { promptTokens, generatedTokens: 0, depth: 0, batch: 1 }
  return { subjectIndex, phase: 'PREFILL', test: `pp${promptTokens}`, ...sizes, samples: [100] }
}
const load = (subjectIndex: number): SweptSeries => ({
  ...prefill(subjectIndex, 0),
  phase: 'LOAD',
  test: '',
})

/** `DEPTH: 0 tg32 @ d* 0 256; ...` */
function shown(...[series, of, declared]: Parameters<typeof findSweep<SweptSeries>>): string | null {
  const sweep = findSweep(series, of, declared)
  if (sweep === null) return null
  const lines = sweep.lines.map(({ subjectIndex, test, points }) =>
    [subjectIndex, test, ...points.map(({ value }) => value)].join(' '),
  )
  return `${sweep.axis}: ${lines.join('; ')}`
}

describe('the axis of a run', () => {
  const deep = [896, 0, 256].flatMap((depth) => [decode(0, depth), decode(2, depth)])

  it('is depth where tests differ in it alone, though no sweep was asked for', () => {
    expect(shown([load(0), load(2), ...deep], subjects, null)).toBe(
      'DEPTH: 0 tg32 @ d* 0 256 896; 2 tg32 @ d* 0 256 896',
    )
  })

  it('is found from two points on where the spec names it, from three where it does not', () => {
    const two = deep.filter(({ depth }) => depth < 896)
    expect(shown(two, subjects, null)).toBeNull()
    expect(shown(two, subjects, 'DEPTH')).toBe('DEPTH: 0 tg32 @ d* 0 256; 2 tg32 @ d* 0 256')
    expect(shown(two, subjects, 'THREADS')).toBeNull()
  })

  it('has a line for each value of what else differs', () => {
    const grid = [0, 8, 16].flatMap((depth) => [decode(0, depth), decode(0, depth, 4)])
    expect(shown(grid, subjects, null)).toBe('DEPTH: 0 tg32 @ d* 0 8 16; 0 tg32 @ d* x4 0 8 16')
    expect(
      shown(
        [1, 2, 4].map((batch) => decode(1, 64, batch)),
        subjects,
        null,
      ),
    ).toBe('BATCH: 1 tg32 @ d64 x* 1 2 4')
  })

  it('is prompt tokens only of tests that have a prompt', () => {
    const series = [64, 128, 256].map((tokens) => prefill(0, tokens))
    expect(shown([...series, decode(0, 0)], subjects, null)).toBe('PROMPT_TOKENS: 0 pp* 64 128 256')
  })

  it('is K/V heads or threads where subjects of one model differ in them alone', () => {
    const series = subjects.map(({ index }) => decode(index, 0))
    expect(shown(series, subjects, null)).toBe('KV_HEADS: 0 tg32 1 4 12')
    const threads = subjects.map((subject, index) => ({ ...subject, kvHeads: 4, threads: 4 >> index }))
    expect(shown(series, threads, null)).toBe('THREADS: 0 tg32 1 2 4')
    const others = subjects.map((subject) => ({ ...subject, identity: `model ${subject.index}` }))
    expect(shown(series, others, null)).toBeNull()
    const both = subjects.map((subject, index) => ({ ...subject, threads: index + 1 }))
    expect(shown(series, both, null)).toBeNull()
  })

  it('includes the forward phase where subjects differ, and never load', () => {
    const forward = subjects.flatMap(({ index }) => [
      load(index),
      { ...prefill(index, 9), phase: 'FORWARD' as const, test: '' },
    ])
    expect(shown(forward, subjects, 'KV_HEADS')).toBe('KV_HEADS: 0  1 4 12')
    expect(shown(forward, subjects, 'PROMPT_TOKENS')).toBeNull()
  })

  it('leaves out series that have no samples yet', () => {
    expect(
      shown(
        deep.map((one) => ({ ...one, samples: one.depth === 0 ? [] : [1] })),
        subjects,
        null,
      ),
    ).toBeNull()
  })
})

describe('what a fit stands on', () => {
  it('is the mean of the tokens in the cache, the reciprocal of threads, and else the value', () => {
    expect(regressorOf('DEPTH', 256, decode(0, 256))).toBe(256 + 31 / 2)
    expect(regressorOf('THREADS', 4, decode(0, 0))).toBe(0.25)
    expect(regressorOf('BATCH', 4, decode(0, 0, 4))).toBe(4)
  })

  it('is the time of one token, and of the whole prompt along prompt tokens', () => {
    expect(timesOf('DEPTH', decode(0, 8))).toEqual([2, 3])
    expect(timesOf('BATCH', decode(0, 8, 4))).toEqual([2, 3])
    expect(timesOf('PROMPT_TOKENS', prefill(0, 64))).toEqual([100])
    expect(timesOf('KV_HEADS', prefill(0, 64))).toEqual([100 / 64])
  })
})
