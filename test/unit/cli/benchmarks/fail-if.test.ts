import { InvalidArgumentError } from 'commander'
import { describe, expect, it } from 'vitest'
import { conditionOption, judge, worst } from '../../../../src/cli/benchmarks/fail-if.ts'
import { compareExitCodes } from '../../../../src/cli/compare.ts'
import { row } from './sample-comparison.ts'

const parse = (text: string) => {
  const [condition] = conditionOption(text)
  if (condition === undefined) throw new Error(text)
  return condition
}
const outcome = (text: string, ...rows: ReturnType<typeof row>[]) => judge(parse(text), rows).outcome

describe('a condition', () => {
  it('names a phase, a test or bytes, a subject if it likes, and a percentage', () => {
    expect(parse('decode slower 5%')).toMatchObject({
      subject: null,
      of: { phase: 'decode' },
      metric: 'TIME',
      limit: 1.05,
    })
    expect(parse('gpt2-medium-kv4 tg128@d512  SLOWER by 2.5 %')).toMatchObject({
      subject: 'gpt2-medium-kv4',
      of: { test: 'tg128 @ d512' },
      limit: 1.025,
    })
    expect(parse('pp16+tg4 x2 faster 10%')).toMatchObject({ of: { test: 'pp16+tg4 x2' }, side: 'below', limit: 0.9 })
    expect(parse('my model memory larger 0%')).toMatchObject({
      subject: 'my model',
      metric: 'PEAK_MEMORY_BYTES',
      limit: 1,
    })
    expect(parse('kv smaller 1%')).toMatchObject({
      subject: null,
      metric: 'KV_CACHE_BYTES',
      side: 'below',
      limit: 0.99,
    })
  })

  it.each([
    '',
    'decode',
    'decode slower',
    'decode slower 5',
    'slower 5%',
    'decode larger 5%',
    'kv slower 5%',
    'kv smaller 100%',
  ])('is refused with examples where it reads %j', (text) => {
    expect(() => parse(text)).toThrow(InvalidArgumentError)
  })
})

describe('what rows say of a condition', () => {
  it('is worse where the whole interval lies beyond the limit, fine where none of it does, and else unknown', () => {
    expect(outcome('decode slower 5%', row(1.1, [1.06, 1.14]))).toBe('worse')
    expect(outcome('decode slower 5%', row(1.03, [1.02, 1.05]))).toBe('fine')
    expect(outcome('decode slower 5%', row(1.05, [1.02, 1.08]))).toBe('unknown')
    expect(outcome('decode faster 5%', row(0.9, [0.88, 0.94]))).toBe('worse')
    expect(outcome('decode faster 5%', row(1.1, [1.06, 1.14]))).toBe('fine')
  })

  it('is unknown without an interval, where runs are not comparable even if forced, and where no row fits', () => {
    expect(outcome('decode slower 5%', row(3, null))).toBe('unknown')
    expect(outcome('decode slower 5%', row(3, [2, 4], { verdict: 'NOT_COMPARABLE' }))).toBe('unknown')
    expect(outcome('prefill slower 5%', row(3, [2, 4]))).toBe('unknown')
    expect(outcome('other decode slower 5%', row(3, [2, 4]))).toBe('unknown')
  })

  it('is worse as soon as one row is, and says which rows it rests on', () => {
    const rows = [row(1, [0.99, 1.01]), row(1.2, [1.1, 1.3], { name: 'llama' }), row(1.04, [0.9, 1.2])]
    const judged = judge(parse('decode slower 5%'), rows)
    expect(judged).toMatchObject({ outcome: 'worse' })
    expect(judged.because).toEqual(['llama tg8 @ d512 1.200 [1.100, 1.300], SLOWER'])
    expect(outcome('gpt2 decode slower 5%', ...rows)).toBe('unknown')
    expect(outcome('llama tg8 @ d512 slower 5%', ...rows)).toBe('worse')
    expect(outcome('tg8 slower 5%', ...rows)).toBe('unknown')
  })

  it('decides on byte counts by their ratio, over the rows that have them', () => {
    const bytes = { verdict: 'NO_DIFFERENCE' as const, interval: null }
    const none = row(null, null, {
      baseline: null,
      candidate: null,
      verdict: 'INCONCLUSIVE',
      reasons: ['not measured'],
    })
    expect(outcome('kv larger 0%', row(1, null, bytes), none)).toBe('fine')
    expect(outcome('kv larger 0%', row(1.001, null, bytes))).toBe('worse')
    expect(outcome('memory larger 10%', row(1.09, null, bytes))).toBe('fine')
    expect(outcome('memory larger 10%', none)).toBe('unknown')
  })

  it('of several is worse before unknown before fine', () => {
    const judged = (...outcomes: ('fine' | 'worse' | 'unknown')[]) =>
      worst(outcomes.map((each) => ({ condition: '', outcome: each, because: [] })))
    expect([judged('fine'), judged('fine', 'unknown'), judged('unknown', 'worse')]).toEqual([
      'fine',
      'unknown',
      'worse',
    ])
  })

  it('becomes the exit code that the help names, apart from those of failures and wrong usage', () => {
    expect(compareExitCodes).toEqual({ fine: 0, worse: 1, unknown: 2, failed: 3, usage: 64 })
  })
})
