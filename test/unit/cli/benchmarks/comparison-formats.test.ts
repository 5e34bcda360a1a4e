import { describe, expect, it } from 'vitest'
import { githubBenchmarks } from '../../../../src/cli/benchmarks/comparison-github.ts'
import { comparisonMarkdown } from '../../../../src/cli/benchmarks/comparison-markdown.ts'
import { comparisonText } from '../../../../src/cli/comparison-text.ts'
import { createStyle, visibleWidth } from '../../../../src/render/style.ts'
import { comparison, row } from './sample-comparison.ts'

const rows = [
  row(1.083, [1.07, 1.095]),
  row(null, null, {
    name: '<b>@team|x',
    verdict: 'NOT_COMPARABLE',
    reasons: ['devices differ: CPU and CUDA'],
    pValue: null,
  }),
  row(1, [0.94, 1.06], { test: 'tg8', verdict: 'INCONCLUSIVE', reasons: ['about 40 blocks would tell 2 %'] }),
]
const all = comparison(rows)
const options = {
  metric: 'TIME' as const,
  baselineName: 'main',
  judgements: [{ condition: 'decode slower 5%', outcome: 'worse' as const, because: ['gpt2 tg8 @ d512 1.083'] }],
}

describe('a comparison for a pull request', () => {
  const text = comparisonMarkdown(all, options)

  it('says the verdict first, then conditions, figures and reasons, and folds the rest away', () => {
    const [first = ''] = text.split('\n')
    expect(first).toBe(
      '**kvscope: 1 SLOWER, 1 NOT_COMPARABLE, 1 INCONCLUSIVE** against `main` (run `0193a1b2-0000-7000-8000-000000000001`)',
    )
    expect(text).toContain('- `decode slower 5%`: **worse** (gpt2 tg8 @ d512 1.083)')
    expect(text).toMatch(/\| gpt2 +\| tg8 @ d512 \| +100 ms \| +108 ms \| 1\.083 \[1\.070, 1\.095\] \| SLOWER +\|/)
    expect(text).toContain('- devices differ: CPU and CUDA\n- about 40 blocks would tell 2 %')
    expect(text.indexOf('<details>')).toBeGreaterThan(text.indexOf('about 40 blocks'))
    expect(text).toMatch(/- baseline 0193a1b2\S+ 2026-11-24\S+: alpha, a processor, 2 cores, kvscope 0\.1\.0/)
    expect(text.trimEnd().endsWith('</details>')).toBe(true)
  })

  it('lets no name become a tag, a mention or a cell', () => {
    expect(text).not.toContain('<b>')
    expect(text).not.toContain('@team')
    const cells = (line: string) => line.split(/(?<!\\)\|/).length
    const table = text.split('\n').filter((line) => line.startsWith('| '))
    expect(new Set(table.slice(0, 5).map(cells)).size).toBe(1)
  })
})

describe('a comparison for github-action-benchmark', () => {
  it("gives the candidate's own figures, smaller or bigger being better by the metric", () => {
    const [first, ...others] = githubBenchmarks(all, 'TIME')
    expect(first).toEqual({
      name: 'gpt2 tg8 @ d512',
      unit: 'ms',
      value: 108.3,
      range: '± 1.083',
      extra: expect.stringContaining('ratio 1.083 [1.070, 1.095] to run 0193a1b2-0000-7000-8000-000000000001\nSLOWER'),
    })
    expect(others).toHaveLength(2)
    expect(githubBenchmarks(all, 'TOKENS_PER_SECOND')[0]).toMatchObject({ unit: 'tokens/s', value: 8000 / 108.3 })
    expect(githubBenchmarks(all, 'KV_CACHE_BYTES')[0]).toMatchObject({ unit: 'bytes', value: 4096 })
    expect(githubBenchmarks(all, 'KV_CACHE_BYTES')[0]).not.toHaveProperty('range')
  })
})

describe('a comparison as text', () => {
  it('fits 80 columns, says the verdicts in one line, each reason once, and what undecided rows would have shown', () => {
    const text = comparisonText(all, createStyle(false))
    for (const line of text.split('\n')) expect(visibleWidth(line), line).toBeLessThanOrEqual(80)
    expect(text).toContain('VERDICT: 1 SLOWER, 1 NOT_COMPARABLE, 1 INCONCLUSIVE')
    expect(text.match(/about 40 blocks/g)).toHaveLength(1)
    expect(text).toContain('would have shown a difference of 1.3 % in 90 of 100 runs')
  })
})
