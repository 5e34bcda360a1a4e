import { describe, expect, it } from 'vitest'
import { kvCacheBytes } from '../../../src/architecture/kv-bytes.ts'
import { findPreset } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { lectureBytes, lectureReport, lectureRows } from '../../../src/cli/lecture.ts'
import { createStyle, visibleWidth } from '../../../src/render/style.ts'

const report = lectureReport(createStyle(false))

describe("the lecture's table", () => {
  it("holds the lecture's own figures at the contexts that make them true", () => {
    expect(report).toMatch(/GPT-3 175B +MHA +96 +96 +128 +1,024 +4\.83 GB = 4\.50 GiB/)
    expect(report).toMatch(/ +MQA +96 +1 +128 +1,024 +50\.3 MB = 48\.0 MiB/)
    expect(report).toMatch(/DeepSeek-V3 +MHA +61 +128 +128 +100,000 +399\.8 GB = 372\.3 GiB/)
    expect(report).toMatch(/ +MQA +61 +1 +128 +100,000 +3\.12 GB = 2\.91 GiB/)
  })

  it('agrees with the presets where a row is what the model really is', () => {
    const presets = { 'GPT-3 175B': 'gpt3-175b', 'DeepSeek-V3': 'deepseek-v3' }
    const real = lectureRows.flat().filter(({ model, kind }) => kind === (model === 'GPT-3 175B' ? 'MHA' : 'MLA'))
    expect(real).toHaveLength(4)
    for (const row of real) {
      const preset = findPreset(presets[row.model as keyof typeof presets])
      const config = readModelConfig(preset.config, preset.name)
      expect(lectureBytes(row)).toBe(kvCacheBytes(config, { contextLength: row.tokens, bitsPerValue: 16 }))
    }
    const contexts = ['gpt3-175b', 'deepseek-v3'].map(
      (name) => readModelConfig(findPreset(name).config, name).contextLength,
    )
    expect(contexts).toEqual([2048, 163_840])
  })

  it("computes what it says of DeepSeek's MLA", () => {
    const [mha, mqa, mla] = (lectureRows[2] ?? []).map(lectureBytes)
    expect((mla ?? 0) / (mqa ?? 1)).toBe(2.25)
    expect(Math.round((mha ?? 0) / (mla ?? 1))).toBe(57)
  })

  it('fits 80 columns', () => {
    for (const line of report.split('\n')) expect(visibleWidth(line), line).toBeLessThanOrEqual(80)
  })
})
