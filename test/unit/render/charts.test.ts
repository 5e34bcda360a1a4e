import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { type AttentionKind, kindStyles } from '../../../src/render/kind-style.ts'
import { drawLineChart, type LineChartPicture } from '../../../src/render/line-chart.ts'
import type { ChartLine } from '../../../src/render/line-chart-line.ts'
import { spreadLabels } from '../../../src/render/spread-labels.ts'
import { axisUnit, formatTick, ticksForValues } from '../../../src/render/ticks.ts'
import { drawTrendChart, type TrendChartPicture } from '../../../src/render/trend-chart.ts'
import { formatMilliseconds } from '../../../src/render/units.ts'
import { fitLine } from '../../../src/stats/linear-fit.ts'
import { median } from '../../../src/stats/quantile.ts'
import { seededRandom } from '../../../src/stats/random.ts'
import { medianInterval } from '../../../src/stats/summary.ts'
import { pictureSize, placedTexts } from '../../support/picture-texts.ts'

const kinds = ['MHA', 'GQA', 'MQA', 'MLA'] as const
const depths = [0, 128, 256, 512, 896]

interface Told {
  label?: string
  fixed?: number
  slope?: number
  xs?: readonly number[]
  trials?: number
}

const recorded: { cpu: string; generatedTokens: number; lines: { depth: number; samples: number[] }[][] } = JSON.parse(
  readFileSync(new URL('recorded-sweep.json', import.meta.url), 'utf8'),
)

/** A line of the recorded sweep, drawn as the API draws it. */
function recordedLine(label: string, kind: AttentionKind, line: { depth: number; samples: number[] }[]): ChartLine {
  const tokens = recorded.generatedTokens
  const points = line.map(({ depth, samples: trials }) => {
    const samples = trials.map((trial) => trial / tokens)
    const interval = medianInterval(samples)
    const x = depth + (tokens - 1) / 2
    return {
      x,
      median: median(samples),
      interval: interval && { low: interval.low, high: interval.high },
      samples,
      kind,
    }
  })
  const { fixed, slope } = fitLine(points) ?? expect.unreachable()
  const [low = 0, high = 0] = [slope.interval?.low, slope.interval?.high]
  const within = `[${formatMilliseconds(low)}, ${formatMilliseconds(high)}]`
  const detail = `+ ${formatMilliseconds(slope.value)} per cached token ${within.replaceAll(' ', '\u00a0')}`
  return { label, detail, points, fit: { fixed: fixed.value, slope: slope.value, reciprocal: false } }
}

/** A line whose trials scatter by up to 4 % above fixed + slope x. */
function lineOf(kind: AttentionKind, told: Told = {}, random = seededRandom(1)): ChartLine {
  const { label = kind, fixed = 20, slope = 0.01, xs = depths, trials = 10 } = told
  const points = xs.map((x) => {
    const samples = Array.from({ length: trials }, () => (fixed + slope * x) * (1 + 0.04 * random() ** 2))
    const interval = medianInterval(samples, { resamples: 200 })
    return {
      x,
      median: median(samples),
      interval: interval && { low: interval.low, high: interval.high },
      samples,
      kind,
    }
  })
  const fit = fitLine(points, { resamples: 200 })
  return {
    label,
    detail: fit === null ? null : `+ ${(fit.slope.value * 1000).toFixed(1)} µs per cached token`,
    points,
    fit: fit && { fixed: fit.fixed.value, slope: fit.slope.value, reciprocal: false },
  }
}

function chart(lines: readonly ChartLine[], more: Partial<LineChartPicture> = {}): LineChartPicture {
  return {
    title: 'Time of one token by depth: decode tg32 @ d*',
    notes: ['A processor (a machine), CPU, 2 threads. Run 0193a1b2-0000-7000-8000-000000000000'],
    synthetic: true,
    across: 'tokens in the cache',
    ownValues: false,
    upright: 'time of one token',
    lines,
    ...more,
  }
}

function trend(levels: readonly number[], each: number, more: Partial<TrendChartPicture> = {}): TrendChartPicture {
  const random = seededRandom(2)
  const points = levels.flatMap((level, place) =>
    Array.from({ length: each }, (_, index) => {
      const value = level * (1 + 0.02 * (random() - 0.5))
      const at = new Date(Date.UTC(2026, 8, 1) + 43_200_000 * (place * each + index)).toISOString()
      return { at, value, interval: { low: value * 0.99, high: value * 1.01 } }
    }),
  )
  const changes = levels.slice(1).map((level, place) => {
    const ratio = level / (levels[place] ?? 1)
    return { index: (place + 1) * each, ratio, interval: { low: ratio * 0.99, high: ratio * 1.01 } }
  })
  const shared = { synthetic: true, kind: 'GQA', upright: 'time of a trial', unit: 'ms' } as const
  return { title: 'gpt2-kv4 (GQA): decode tg32 @ d512', ...shared, points, changes, levels, ...more }
}

const long = 'an-organisation/a model whose name goes on and on '.repeat(4)
const sixteen = Array.from({ length: 16 }, (_, index) =>
  lineOf(kinds[index % 4] ?? 'MHA', { label: `subject-${index}`, fixed: 20 + index / 10 }),
)

/** Charts over many shapes, in both themes. */
function* everyChart(): Generator<[name: string, svg: string]> {
  const charts: [string, LineChartPicture][] = [
    ['three kinds', chart(kinds.slice(0, 3).map((kind, index) => lineOf(kind, { slope: 0.01 / 4 ** index })))],
    ['sixteen lines', chart(sixteen)],
    ['one point', chart([lineOf('MHA', { xs: [512] })])],
    ['no interval', chart([lineOf('MHA', { trials: 2 })])],
    ['long names', chart([lineOf('GQA', { label: long }), lineOf('GQA', { label: 'x'.repeat(200) })], { title: long })],
    ['tiny values', chart([lineOf('MHA', { fixed: 4e-4, slope: 1e-7 })])],
    ['huge values', chart([lineOf('MHA', { fixed: 4e5, slope: 200, xs: [0, 8192, 1_048_576] })])],
    ['many own values', chart([lineOf('MHA', { xs: [1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 256] })], { ownValues: true })],
    ['no line', chart([])],
  ]
  const trends: [string, TrendChartPicture][] = [
    ['steps', trend([640, 704, 690], 14)],
    ['hundreds', trend([640, 700, 600, 800, 500, 640, 720], 80)],
    ['one run', trend([640], 1)],
    ['no run', trend([], 0)],
    ['bytes', trend([5e9, 1e9], 6, { unit: 'bytes', upright: 'peak memory', kind: null })],
    ['rates', trend([52, 61], 6, { unit: 'tokens/s', upright: 'rate', title: long })],
  ]
  for (const theme of ['light', 'dark'] as const) {
    for (const [name, picture] of charts) yield [`${name}, ${theme}`, drawLineChart({ ...picture, theme })]
    for (const [name, picture] of trends) yield [`trend of ${name}, ${theme}`, drawTrendChart({ ...picture, theme })]
  }
}

describe('charts', () => {
  it('keep every text inside, and no two on each other', () => {
    const wrong: string[] = []
    for (const [name, svg] of everyChart()) {
      const { width, height } = pictureSize(svg)
      const texts = placedTexts(svg)
      for (const [index, one] of texts.entries()) {
        if (one.left < 0 || one.top < 0 || one.right > width || one.bottom > height) wrong.push(`${name}: ${one.text}`)
        for (const other of texts.slice(index + 1)) {
          const beside = one.right <= other.left || other.right <= one.left
          if (!beside && one.bottom > other.top && other.bottom > one.top)
            wrong.push(`${name}: ${one.text} on ${other.text}`)
        }
      }
    }
    expect(wrong).toEqual([])
  })

  it('hold numbers alone as places', () => {
    for (const [name, svg] of everyChart()) expect(svg, name).not.toMatch(/NaN|Infinity|undefined/)
  })

  it('stay well-formed whatever a name holds', () => {
    const nasty = `]]><svg onload="x">\u0000\u202e&amp;'"`
    for (const svg of [
      drawLineChart(chart([lineOf('MHA', { label: nasty })], { title: nasty, notes: [nasty] })),
      drawTrendChart(trend([1, 2], 5, { title: nasty, notes: [nasty] })),
    ]) {
      expect(svg).not.toMatch(/[^\n -\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u)
      expect(svg).not.toContain('onload="')
      expect(svg.match(/<svg/g)).toHaveLength(1)
    }
  })

  it('say in capitals that weights are synthetic, and only then', () => {
    expect(drawLineChart(chart([lineOf('MHA')]))).toContain('>SYNTHETIC WEIGHTS<')
    expect(drawLineChart(chart([lineOf('MHA')], { synthetic: false }))).not.toContain('SYNTHETIC')
    expect(drawTrendChart(trend([1], 5, { synthetic: false }))).not.toContain('SYNTHETIC')
  })
})

describe('a chart of a sweep', () => {
  it("draws each line in its kind's colour, dash and mark", () => {
    const svg = drawLineChart(
      chart(
        kinds.map((kind) => lineOf(kind)),
        { theme: 'dark' },
      ),
    )
    for (const kind of kinds) {
      const { colour, dash, mark } = kindStyles[kind]
      const dashed = dash === '' ? '' : ` stroke-dasharray="${dash}"`
      expect(svg).toContain(`stroke="${colour.dark}" stroke-width="2"${dashed} d="M`)
      // One a point, and one beside the label.
      expect(svg.split(mark.path)).toHaveLength(1 + depths.length + 1)
    }
  })

  it('tells two lines of a kind apart by hollow marks', () => {
    const svg = drawLineChart(chart([lineOf('GQA'), lineOf('GQA', { label: 'other' })]))
    expect(svg.match(/fill="#ffffff" stroke="#0a5a38"/g)).toHaveLength(depths.length + 1)
  })

  it('has a band where there are intervals, and the trials themselves where there are none', () => {
    const [band, trials] = [drawLineChart(chart([lineOf('MHA')])), drawLineChart(chart([lineOf('MHA', { trials: 2 })]))]
    expect([band.match(/fill-opacity="0.2"/g)?.length, band.match(/<circle/g)]).toEqual([1, null])
    expect([trials.match(/fill-opacity="0.2"/g), trials.match(/<circle/g)?.length]).toEqual([null, 2 * depths.length])
  })

  it('begins at 0, or says that it does not', () => {
    expect(drawLineChart(chart([lineOf('MHA', { slope: 0.1 })]))).toContain('>time of one token, ms<')
    expect(drawLineChart(chart([lineOf('MHA', { slope: 0.001 })]))).toContain('>time of one token, ms (not from 0)<')
  })

  it('draws no line where none was fitted', () => {
    const fitted = (line: ChartLine) => drawLineChart(chart([line])).match(/stroke-width="0.8"/g)
    expect(fitted(lineOf('MHA'))).toHaveLength(1)
    expect(fitted({ ...lineOf('MHA'), fit: null })).toBeNull()
  })

  it('names the values of heads and threads themselves', () => {
    const svg = drawLineChart(chart([lineOf('MHA', { xs: [1, 4, 12] })], { ownValues: true, across: 'K/V heads' }))
    const texts = placedTexts(svg).map(({ text }) => text)
    expect(texts).toEqual(expect.arrayContaining(['1', '4', '12', 'K/V heads']))
  })
})

describe('a chart of a trend', () => {
  it('has a point a run, a step a change, and the ratio over it', () => {
    const svg = drawTrendChart(trend([640, 704, 690], 14))
    expect(svg.match(/<circle/g)).toHaveLength(42)
    expect(svg.match(/stroke-dasharray="2 3"/g)).toHaveLength(2)
    const texts = placedTexts(svg).map(({ text }) => text)
    expect(texts).toEqual(expect.arrayContaining(['x 1.100 [1.089, 1.111]', 'x 0.980 [0.970, 0.990]', '2026-09-01']))
  })
})

describe('labels that would touch', () => {
  it('stand as near to where they want to be as they can', () => {
    const of = (...wanted: number[]) => wanted.map((each) => ({ wanted: each, height: 10 }))
    expect(spreadLabels(of(10, 50), 0, 100)).toEqual([10, 50])
    expect(spreadLabels(of(50, 50), 0, 100)).toEqual([45, 55])
    expect(spreadLabels(of(52, 48, 50), 0, 100)).toEqual([60, 40, 50])
    expect(spreadLabels(of(1, 99), 0, 100)).toEqual([5, 95])
    expect(spreadLabels(of(98, 99, 100), 0, 100)).toEqual([75, 85, 95])
    expect(spreadLabels([], 0, 100)).toEqual([])
  })
})

describe('ticks', () => {
  it.each([
    { low: 0, high: 23.7, expected: [0, 5, 10, 15, 20, 25] },
    { low: 0, high: 0, expected: [0, 1] },
    { low: 10, high: 20, expected: [0, 5, 10, 15, 20] },
    { low: 20, high: 21, expected: [19.5, 20, 20.5, 21, 21.5] },
    { low: 32e-5, high: 40e-5, expected: [30e-5, 32e-5, 34e-5, 36e-5, 38e-5, 40e-5, 42e-5] },
  ])('between $low and $high are round', ({ low, high, expected }) => {
    const { at } = ticksForValues(low, high, 6)
    expect(at).toHaveLength(expected.length)
    for (const [index, tick] of expected.entries()) expect(at[index]).toBeCloseTo(tick, 10)
  })

  it('have as many digits as their step, in the unit that reads best', () => {
    expect([formatTick(0.25, 0.05), formatTick(1200, 200), formatTick(0, 0.5)]).toEqual(['0.25', '1,200', '0.0'])
    expect(axisUnit('ms', 4e-4)).toEqual({ name: 'µs', divisor: 0.001 })
    expect(axisUnit('ms', 4e4)).toEqual({ name: 's', divisor: 1000 })
    expect(axisUnit('ms', 0).name).toBe('ms')
    expect(axisUnit('bytes', 5e9)).toEqual({ name: 'GB', divisor: 1e9 })
    expect(axisUnit('tokens/s', 5e9)).toEqual({ name: 'tokens/s', divisor: 1 })
  })
})

describe('charts kept in docs/pictures, so that a change of drawing is seen', () => {
  it('a sweep over depth, as recorded', async () => {
    const labels = ['gpt2 (MHA, 12 K/V heads)', 'gpt2-kv4 (GQA, 4 K/V heads)', 'gpt2-kv1 (MQA, 1 K/V head)']
    const lines = labels.map((label, index) => recordedLine(label, kinds[index] ?? 'MHA', recorded.lines[index] ?? []))
    const svg = drawLineChart(
      chart(lines, {
        title: 'Time of one token by depth: decode tg4 @ d*',
        across: 'tokens in the cache, mean over the tokens of a trial',
        notes: [
          `${recorded.cpu}, CPU, 1 thread, its processor time; gpt2's width and heads, 4 layers, a narrow MLP.`,
          'Marks: medians of 60 trials, with bands for their 95 % bootstrap intervals. Thin lines: fixed cost + slope x cached tokens.',
        ],
      }),
    )
    await expect(svg).toMatchFileSnapshot('../../../docs/pictures/sweep.svg')
  })

  it('a trend with two changes of level', async () => {
    const notes = ['Figures made up to show the picture.']
    await expect(drawTrendChart(trend([640, 704, 690], 14, { notes }))).toMatchFileSnapshot(
      '../../../docs/pictures/trend.svg',
    )
  })
})
