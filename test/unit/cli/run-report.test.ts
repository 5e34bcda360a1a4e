import { describe, expect, it } from 'vitest'
import { cachedTokens, kvBytesPerToken, runReport } from '../../../src/cli/run-report.ts'
import { createStyle, stripStyle, visibleWidth } from '../../../src/render/style.ts'
import { sampleRun, subject } from './sample-run.ts'

const run = sampleRun(
  [subject(0, 16), subject(1, 4), subject(2, 1)],
  { ratio: 0.92, low: 0.9, high: 0.94 },
  { ratio: 0.7, low: 0.68, high: 0.73 },
)

describe('the report of a run', () => {
  it('fits 80 columns, with and without colour, and says the same in both', () => {
    const plain = runReport(run, createStyle(false))
    const coloured = runReport(run, createStyle(true))
    for (const line of plain.split('\n')) expect(visibleWidth(line), line).toBeLessThanOrEqual(80)
    expect(coloured).not.toBe(plain)
    expect(stripStyle(coloured)).toBe(plain)
  })

  it('says SYNTHETIC WEIGHTS, and of which subjects where not of all', () => {
    expect(runReport(run, createStyle(false))).toContain('SYNTHETIC WEIGHTS: drawn from a seed')
    const [first] = run.subjects
    const mixed = { ...run, subjects: [{ ...subject(0, 16), synthetic: false }, ...run.subjects.slice(1)] }
    expect(first?.synthetic).toBe(true)
    expect(runReport(mixed, createStyle(false))).toContain('SYNTHETIC WEIGHTS (gpt2-medium-kv4, gpt2-medium-kv1)')
    const real = { ...run, subjects: run.subjects.map((each) => ({ ...each, synthetic: false })) }
    expect(runReport(real, createStyle(false))).not.toContain('SYNTHETIC')
  })

  it('divides the measured cache by the tokens that the last step was fed, not by the formula', () => {
    expect(cachedTokens({ depth: 512, promptTokens: 0, generatedTokens: 8, batch: 2 })).toBe(1038)
    expect(cachedTokens({ depth: 0, promptTokens: 0, generatedTokens: 1, batch: 1 })).toBe(0)
    expect(kvBytesPerToken(subject(0, 16))).toBe(24 * 2 * 16 * 64 * 4)
    const wrong = { ...run, series: run.series.map((each) => ({ ...each, kvCacheBytes: 519 * 1000 })) }
    expect(runReport(wrong, createStyle(false))).toMatch(/MHA 16 +354\.8 M +196,608 +1,000 /)
  })

  it('shows a dash for a decode that read no cache: one token at depth 0', () => {
    const decodes = run.series.filter((each) => each.phase === 'DECODE' && each.depth === 9)
    for (const kvCacheBytes of [0, null]) {
      const single = { depth: 0, generatedTokens: 1, test: 'tg1', kvCacheBytes, kvCacheBytesPredicted: kvCacheBytes }
      const report = runReport({ ...run, series: decodes.map((each) => ({ ...each, ...single })) }, createStyle(false))
      expect(report).toMatch(/MHA 16 +354\.8 M +196,608 +– /)
      expect(report).not.toContain('NaN')
    }
  })

  it('shows decode a token, with the ratio and its interval, and single values without one', () => {
    const lines = runReport(run, createStyle(false)).split('\n')
    const at = lines.indexOf('decode at depth 512, time of one token')
    expect(lines[at + 1]).toMatch(/^ {2}MHA 16 +█+ +50\.0 ms +±2\.0 % +10 +20\.0 +1$/)
    expect(lines[at + 3]).toMatch(/^ {2}MQA 1 .* 0\.700 \[0\.680, 0\.730\]$/)
    expect(lines[lines.indexOf('load') + 1]).toMatch(/^ {2}MHA 16 +█+ +1\.50 s +1 +1$/)
  })
})
