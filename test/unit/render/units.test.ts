import { describe, expect, it } from 'vitest'
import {
  formatBinaryBytes,
  formatBytes,
  formatCount,
  formatDecimalBytes,
  formatInteger,
  formatMilliseconds,
  formatPercent,
  formatRate,
  formatRatio,
} from '../../../src/render/units.ts'

describe('units', () => {
  it("gives the lecture's GPT-3 cache in GB and in GiB, which are not the same", () => {
    expect(formatBytes(96 * 96 * 128 * 1024 * 2 * 2)).toBe('4.83 GB = 4.50 GiB')
    expect(formatBytes(96 * 1 * 128 * 1024 * 2 * 2)).toBe('50.3 MB = 48.0 MiB')
  })

  it("keeps a decimal above a hundred, as DeepSeek's 399.8 GB needs", () => {
    expect(formatDecimalBytes(61 * 128 * 128 * 2 * 2 * 100_000)).toBe('399.8 GB')
    expect(formatBinaryBytes(61 * 128 * 128 * 2 * 2 * 100_000)).toBe('372.3 GiB')
  })

  it('says a few bytes once, since both units agree on them', () => {
    expect(formatBytes(576)).toBe('576 B')
    expect(formatBytes(0)).toBe('0 B')
    expect(formatBinaryBytes(1000)).toBe('1,000 B')
  })

  it.each([
    [0, '0.00 ms'],
    [0.0126, '12.6 µs'],
    [0.000_123_4, '123 ns'],
    [0.9999, '1.00 ms'],
    [9.996, '10.0 ms'],
    [41.234, '41.2 ms'],
    [999.4, '999 ms'],
    [999.6, '1.00 s'],
    [1620, '1.62 s'],
    [123_456, '123 s'],
  ])('writes %d ms as %s, with three digits', (milliseconds, text) => {
    expect(formatMilliseconds(milliseconds)).toBe(text)
  })

  it('writes counts and rates with the digits that a reader needs', () => {
    expect(formatCount(354_823_168)).toBe('354.8 M')
    expect(formatCount(671_000_000_000)).toBe('671.0 B')
    expect(formatCount(512)).toBe('512')
    expect(formatInteger(3_997_696)).toBe('3,997,696')
    expect(formatRate(24.27)).toBe('24.3')
    expect(formatRate(1234.6)).toBe('1,235')
  })

  it('writes a ratio with its interval only where it has one', () => {
    expect(formatRatio(0.8744, { low: 0.861, high: 0.8891 })).toBe('0.874 [0.861, 0.889]')
    expect(formatRatio(12.34, null)).toBe('12.3')
  })

  it('does not round a small share away', () => {
    expect(formatPercent(0.001)).toBe('<1 %')
    expect(formatPercent(0.126)).toBe('13 %')
    expect(formatPercent(0)).toBe('0 %')
  })
})
