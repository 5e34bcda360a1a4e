import { describe, expect, it } from 'vitest'
import { attentionRamp, rampStep } from '../../../src/render/attention-ramp.ts'
import { paintHeads } from '../../../src/render/half-blocks.ts'
import type { HeadMatrix } from '../../../src/render/head-groups.ts'
import type { AttentionKind } from '../../../src/render/kind-style.ts'
import { stripStyle, visibleWidth } from '../../../src/render/style.ts'
import { colourDepth, colourParameters } from '../../../src/render/terminal-colour.ts'
import { seededRandom } from '../../../src/stats/random.ts'
import { attentionHeads, weightHeads } from '../../support/attention-maps.ts'

const subjectOf = (kind: AttentionKind, heads: number, kvHeads: number | null) => ({
  model: 'gpt2-medium',
  kind,
  heads,
  kvHeads,
  synthetic: false,
})
const weights = { name: 'weights', projection: 'K' } as const
const escapeCharacter = String.fromCharCode(27)
const depths = ['truecolor', '256', 'none'] as const

describe('heads in a terminal', () => {
  it.each(depths)('fit any width, in %s', (colours) => {
    const random = seededRandom(5)
    for (const [kind, heads, kvHeads] of [
      ['MHA', 16, 16],
      ['GQA', 16, 4],
      ['MQA', 32, 1],
      ['MQA', 71, 1],
      ['MLA', 4, null],
      ['MHA', 1, 1],
    ] as const) {
      const subject = subjectOf(kind, heads, kvHeads)
      const pictures = [
        { subject, heads: attentionHeads(heads, kvHeads, 9, random), quantity: { name: 'attention' } as const },
        { subject, heads: attentionHeads(heads, kvHeads, 40, random), quantity: { name: 'attention' } as const },
      ]
      const slices = kvHeads === null ? [] : weightHeads(heads, kvHeads, 12, 64, random)
      const views = slices.length === 0 ? [] : (['shared', 'heads'] as const)
      for (const width of [24, 80, 133]) {
        const painted = [
          ...pictures.map((picture) => paintHeads({ ...picture, width, colours })),
          ...views.map((view) => paintHeads({ subject, heads: slices, quantity: weights, view, width, colours })),
        ]
        for (const text of painted) {
          const widths = text.split('\n').map(visibleWidth)
          expect(Math.max(...widths), `${kind} ${heads} at ${width}`).toBeLessThanOrEqual(width)
        }
      }
    }
  })

  it("draw MQA's one K once under all its readers", () => {
    const heads = weightHeads(16, 1, 50, 64, seededRandom(6))
    const text = paintHeads({ subject: subjectOf('MQA', 16, 1), heads, quantity: weights, width: 80, colours: 'none' })
    const lines = text.split('\n')
    expect(lines[0]).toBe('▲ MQA: all 16 query heads share one K and one V')
    expect(text).toContain('K/V head 0, stored once')
    expect(text).toContain('0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15')
    // 50 rows, two a line.
    expect(lines.filter((line) => /^[.:=+*#%@-]{64}$/.test(line))).toHaveLength(25)
  })

  it('set brackets over the heads of a group', () => {
    const heads = attentionHeads(8, 4, 9, seededRandom(6))
    const text = paintHeads({
      subject: subjectOf('GQA', 8, 4),
      heads,
      quantity: { name: 'attention' },
      width: 80,
      colours: 'none',
    })
    const lines = text.split('\n')
    const bracket = lines.findIndex((line) => line.startsWith('╭'))
    const [left = '', right = ''] = (lines[bracket] ?? '').split('  ')
    const below = lines[bracket + 1] ?? ''
    expect(lines[bracket - 1]).toMatch(/K\/V head 0 +■ K\/V head 1/)
    expect(below.slice(0, left.length)).toMatch(/head 0 +head 1/)
    expect(below.slice(left.length + 2, left.length + 2 + right.length)).toMatch(/head 2 +head 3/)
  })

  it('paint two cells a character in exactly their colours, and nothing where the mask is', () => {
    const values = Float32Array.of(1, 0, 0.25, 0.75)
    const heads: HeadMatrix[] = [{ head: 0, kvHead: 0, rows: 2, columns: 2, values }]
    const text = paintHeads({
      subject: subjectOf('MHA', 1, 1),
      heads,
      quantity: { name: 'attention' },
      width: 24,
      colours: 'truecolor',
    })
    const ramp = attentionRamp('MHA', 'dark')
    const rgb = (p: number) => (ramp[rampStep(p)] ?? []).join(';')
    // Each cell is two columns wide and a line high.
    expect(text).toContain(`${escapeCharacter}[38;2;${rgb(1)}m██${escapeCharacter}[0m`)
    expect(text).toContain(
      `${escapeCharacter}[38;2;${rgb(0.25)}m██${escapeCharacter}[38;2;${rgb(0.75)}m██${escapeCharacter}[0m`,
    )
  })

  it('pool weights by their mean and attention by its maximum, and say so', () => {
    const rows = 64
    const spike = new Float32Array(rows * rows)
    spike[40 * rows + 3] = 1
    const attention = paintHeads({
      subject: subjectOf('MHA', 1, 1),
      heads: [{ head: 0, kvHead: 0, rows, columns: rows, values: spike }],
      quantity: { name: 'attention' },
      width: 48,
      colours: 'none',
    })
    expect(attention).toContain('each cell is the maximum of 2 x 2 values')
    expect(attention.split('\n').slice(0, -3).join('')).toContain('@')
    const overview = paintHeads({
      subject: subjectOf('MHA', 1, 1),
      heads: [{ head: 0, kvHead: 0, rows, columns: rows, values: spike }],
      quantity: { name: 'attention', pooled: { factor: 8, by: 'maximum' } },
      width: 48,
      colours: 'none',
    })
    expect(overview).toContain('each cell is the maximum of 16 x 16 values')
    const alternating = Float32Array.from({ length: rows * rows }, (_, at) => (at % 2 ? 1 : -1))
    const mean = paintHeads({
      subject: subjectOf('MHA', 1, 1),
      heads: [{ head: 0, kvHead: 0, rows, columns: rows, values: alternating }],
      quantity: { ...weights, scale: { end: 1, largest: 1 } },
      width: 48,
      colours: 'none',
    })
    expect(mean).toContain('each cell is the mean of 2 x 2 values')
    expect(mean).toMatch(/^\+{32}$/m)
  })

  it('end every line in the colours that they began with', () => {
    const heads = attentionHeads(4, 2, 9, seededRandom(6))
    for (const colours of ['truecolor', '256'] as const) {
      const text = paintHeads({
        subject: subjectOf('GQA', 4, 2),
        heads,
        quantity: { name: 'attention' },
        width: 80,
        colours,
      })
      for (const line of text.split('\n').filter((each) => each.includes(escapeCharacter))) {
        expect(line.split(escapeCharacter).at(-1)).toMatch(/^\[(0|39)m/)
      }
      expect(stripStyle(text)).not.toContain(escapeCharacter)
    }
  })
})

describe('colours of a terminal', () => {
  it('are none where they are not wanted, and 256 unless more are promised', () => {
    expect(colourDepth(false, 'truecolor')).toBe('none')
    expect(colourDepth(true, 'truecolor')).toBe('truecolor')
    expect(colourDepth(true, '24bit')).toBe('truecolor')
    expect(colourDepth(true, undefined)).toBe('256')
  })

  it('are the nearest of the 240 that do not depend on the user', () => {
    expect(colourParameters(38, [255, 0, 0], '256')).toBe('38;5;196')
    expect(colourParameters(48, [8, 8, 8], '256')).toBe('48;5;232')
    expect(colourParameters(38, [254, 254, 254], '256')).toBe('38;5;231')
    expect(colourParameters(38, [1, 2, 3], 'truecolor')).toBe('38;2;1;2;3')
  })
})
