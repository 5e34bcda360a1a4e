import { describe, expect, it } from 'vitest'
import { kvCacheBytes } from '../../../src/architecture/kv-bytes.ts'
import { auditLecture } from '../../../src/architecture/lecture-claims.ts'
import { readLectureModels } from '../../../src/architecture/lecture-facts.ts'
import { lectureReport, lectureRows } from '../../../src/cli/lecture/cache-table.ts'
import { claimsText } from '../../../src/cli/lecture/claims-text.ts'
import { createStyle, visibleWidth } from '../../../src/render/style.ts'

const style = createStyle(false)
const report = lectureReport(style)

describe("the lecture's table", () => {
  it("holds the lecture's own figures at the contexts that make them true", () => {
    expect(report).toMatch(/GPT-3 175B +MHA +96 +96 +128 +1,024 +4\.83 GB = 4\.50 GiB/)
    expect(report).toMatch(/ +MQA +96 +1 +128 +1,024 +50\.3 MB = 48\.0 MiB/)
    expect(report).toMatch(/DeepSeek-V3 +MHA +61 +128 +128 +100,000 +399\.8 GB = 372\.3 GiB/)
    expect(report).toMatch(/ +MQA +61 +1 +128 +100,000 +3\.12 GB = 2\.91 GiB/)
  })

  it('agrees with the models where a row is what they really are', () => {
    const { gpt3, deepSeek } = readLectureModels()
    const real = lectureRows()
      .flat()
      .filter(({ model, kind }) => kind === (model === 'GPT-3 175B' ? 'MHA' : 'MLA'))
    expect(real.map(({ tokens }) => tokens)).toEqual([1024, 2048, 100_000, 163_840])
    for (const { model, bytes, tokens } of real) {
      const config = model === 'GPT-3 175B' ? gpt3 : deepSeek
      expect(bytes).toBe(kvCacheBytes(config, { contextLength: tokens, bitsPerValue: 16 }))
    }
  })

  it('computes what it says beside the table', () => {
    const text = report.replace(/\n {2}/g, ' ')
    expect(text).toContain('GPT-3 has 2,048 positions: twice as much')
    expect(text).toContain('2.25 times that MQA and 1/57 of that MHA. Its config has 163,840 positions')
  })
})

describe("the claims' text", () => {
  const text = claimsText(auditLecture(), style)

  it('counts the verdicts, and has each claim with its condition and a way to see it', () => {
    const [, count = ''] = text.split('\n')
    const [all = 0, holds = 0, holdsIf = 0, fails = 0] = [...count.matchAll(/\d+/g)].map(([digits]) => Number(digits))
    expect([all, holds + holdsIf + fails]).toEqual([auditLecture().length, auditLecture().length])
    const lines = text.split('\n')
    for (const [word, expected] of [
      ['holds {5}', holds],
      ['holds if {2}', holdsIf],
      ['fails {5}', fails],
    ] as const) {
      expect(
        lines.filter((line) => new RegExp(`^${word}"`).test(line)),
        word,
      ).toHaveLength(expected)
    }
    expect(lines.filter((line) => /^ {10}\$ /.test(line))).toHaveLength(all)
  })

  it('fits 80 columns, like the table', () => {
    for (const line of [...text.split('\n'), ...report.split('\n')])
      expect(visibleWidth(line), line).toBeLessThanOrEqual(80)
  })
})
