import { describe, expect, it } from 'vitest'
import { benchText } from '../../../../src/cli/benchmarks/bench-text.ts'
import { createStyle, visibleWidth } from '../../../../src/render/style.ts'
import { sampleRun, subject } from '../sample-run.ts'

const plain = createStyle(false)
const two = sampleRun(
  [subject(0, 16), subject(1, 4)],
  { ratio: 1, low: 0.985, high: 1.015 },
  { ratio: 0.7, low: 0.68, high: 0.73 },
)
const warning = (code: string) => ({
  code,
  message: `${code} was seen in this run and disturbed it`,
  advice: 'Stop other work',
})

describe('the text of a benchmark', () => {
  it('of two models is one screen of 50 lines and 80 columns, with ten sorts of warnings too', () => {
    const codes = ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J'].map((letter) => `GUARD_${letter}`)
    const text = benchText({ ...two, warnings: codes.map(warning) }, plain)
    const lines = text.split('\n')
    expect(lines.length).toBeLessThanOrEqual(50)
    for (const line of lines) expect(visibleWidth(line), line).toBeLessThanOrEqual(80)
    expect(text).toContain('! GUARD_A: ')
    for (const code of codes) expect(text).toContain(code)
    expect(text).toContain(`kvscope runs show ${two.id}`)
    expect(benchText({ ...two, warnings: codes.map(warning) }, plain, { whole: true })).toContain('it. Stop other work')
  })

  it('gives the verdict with ratio, interval, p and what could have been told, and reasons once', () => {
    const reasons = ['about 40 blocks would tell 2 %']
    const rows = two.comparison.map((row) => ({ ...row, verdict: 'INCONCLUSIVE' as const, reasons }))
    const text = benchText({ ...two, comparison: rows }, plain)
    expect(text).toContain('VERDICT: GQA 4 against MHA 16')
    expect(text).toMatch(/tg8 @ d512 +INCONCLUSIVE +0\.700 \[0\.680, 0\.730\] +0\.004 +1\.8 %/)
    expect(text.match(/about 40 blocks/g)).toHaveLength(1)
  })

  it('says where time goes where that is known, and what a sweep is fitted with', () => {
    expect(benchText(two, plain)).toMatch(/MHA 16 +tg8 @ d512 +1\.52 GB +7 % +75 % +12 %/)
    const [first] = two.subjects
    const fit = {
      subject: { index: 0, name: first?.name ?? '' },
      phase: 'DECODE' as const,
      test: 'tg8',
      axis: 'cached tokens',
      fixed: { value: 40, interval: { low: 39, high: 41, level: 0.95 } },
      slope: { value: 1.5e-5, interval: null },
      unit: 'ms',
    }
    const text = benchText({ ...two, fits: [fit] }, plain)
    expect(text).toMatch(/MHA 16 +tg8 +40\.0 ms \[39\.0 ms, 41\.0 ms\] +15\.0 ns/)
    expect(text).toContain('more for one of cached tokens')
  })
})
