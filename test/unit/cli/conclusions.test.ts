import { describe, expect, it } from 'vitest'
import { conclude } from '../../../src/cli/conclusions.ts'
import { sampleRun, subject, type Timing } from './sample-run.ts'

const three = [subject(0, 16), subject(1, 4), subject(2, 1)]
const none: Timing = { ratio: 0.99, low: 0.95, high: 1.02 }
const little: Timing = { ratio: 0.92, low: 0.9, high: 0.94 }
const much: Timing = { ratio: 0.7, low: 0.68, high: 0.73 }
const told = (at9: Timing, at512: Timing, subjects = three) => conclude(sampleRun(subjects, at9, at512)).join('\n')

describe('conclusions', () => {
  it('lays no difference at nine tokens to the cache, whatever the times are', () => {
    for (const at9 of [none, little, much]) {
      expect(told(at9, much)).toContain('At depth 9 the K/V cache is <1 % of the bytes that a step of MHA 16 reads')
      expect(told(at9, much)).toContain('so the cache can be no reason for a difference there')
    }
    expect(told(none, much)).toContain('this run shows none between MQA 1 and MHA 16 (0.990 [0.950, 1.020])')
    expect(told(little, much)).toContain(
      'MQA 1 takes less time (0.920 [0.900, 0.940]), with 13 % fewer weights to read',
    )
  })

  it('lays a difference at depth to sharing only where the intervals at both depths are apart', () => {
    expect(told(little, much)).toContain('that is what sharing K/V heads saves')
    expect(told(little, { ratio: 0.88, low: 0.86, high: 0.91 })).toContain("this run does not tell the cache's part")
    expect(told(little, none)).toContain('this run shows no difference in time between them (0.990 [0.950, 1.020])')
    expect(told(little, none)).not.toContain('saves')
  })

  it('says of depth what the intervals do: that they overlap only where they do', () => {
    expect(told(little, { ratio: 0.88, low: 0.86, high: 0.91 })).toContain('the intervals at depth 9 and 512 overlap')
    expect(told(much, little)).toContain('but the ratio at depth 9 is lower still')
    expect(told(little, { ratio: 1.2, low: 1.1, high: 1.3 })).toContain('but the ratio at depth 9 is lower still')
  })

  it('tells a slower model as slower', () => {
    const slower = { ratio: 1.2, low: 1.1, high: 1.3 }
    expect(told(slower, slower)).toContain('MQA 1 takes more time (1.200 [1.100, 1.300])')
    expect(told(slower, slower)).not.toContain('saves')
  })

  it('gives the bytes of cache that a step reads at depth', () => {
    expect(told(little, much)).toContain('At depth 512 MHA 16 reads 102.0 MB of cache a token and MQA 1 6.38 MB')
  })

  it('refuses to explain a difference between models that differ in more than their K/V heads', () => {
    const text = told(little, much, [subject(0, 16), subject(1, 1, { layers: 12 })])
    expect(text).toContain('differ in more than their K/V heads')
    expect(text).not.toContain('less time')
  })

  it('compares subjects by the dtype they compute in, not by the one their files store', () => {
    const stored = [{ ...subject(0, 16), dtype: 'F16' as const }, subject(1, 1)]
    expect(told(little, much, stored)).toContain('that is what sharing K/V heads saves')
    const computing = [{ ...subject(0, 16), computeDtype: 'F16' as const }, subject(1, 1)]
    expect(told(little, much, computing)).toContain('differ in more than their K/V heads')
  })

  it('says what one model alone reads, and that quality is never measured', () => {
    const [share, missing] = conclude(sampleRun([subject(0, 16, { synthetic: false })], none, none))
    expect(share).toContain(
      'At depth 512 a step of gpt2-medium reads 102.0 MB of K/V cache beside 1.42 GB of weights: 7 %',
    )
    expect(missing).toContain('it measures time and bytes only')
    expect(told(none, none)).toContain('with synthetic weights it could not')
  })
})
