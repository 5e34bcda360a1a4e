import { describe, expect, it } from 'vitest'
import { drawDifference } from '../../../src/render/difference.ts'
import { drawDistanceMatrix } from '../../../src/render/distance-matrix.ts'
import { drawHeadGrid } from '../../../src/render/head-grid.ts'
import { gridColumns } from '../../../src/render/head-groups.ts'
import { drawHeatMap } from '../../../src/render/heat-map.ts'
import { type AttentionKind, kindStyles } from '../../../src/render/kind-style.ts'
import type { PictureSubject } from '../../../src/render/picture-subject.ts'
import { seededRandom } from '../../../src/stats/random.ts'
import { attentionHeads, randomAttention, weightHeads } from '../../support/attention-maps.ts'
import { pictureSize, placedTexts } from '../../support/picture-texts.ts'

const words = ['the', ' quick', ' brown', ' fox', ' jumps', ' over', ' the', ' lazy', ' dog']
const tokens = (size: number) => Array.from({ length: size }, (_, position) => words[position % words.length] ?? '')

function subjectOf(kind: AttentionKind, heads: number, kvHeads: number | null, synthetic = false): PictureSubject {
  return { model: 'gpt2-medium', kind, heads, kvHeads, synthetic }
}

const weights = { name: 'weights', projection: 'K' } as const
const sizes = [
  ['MHA', 1, 1],
  ['MHA', 4, 4],
  ['GQA', 8, 4],
  ['MHA', 16, 16],
  ['GQA', 16, 4],
  ['MQA', 16, 1],
  ['MLA', 16, null],
  ['GQA', 14, 2],
  ['GQA', 32, 8],
  ['MQA', 32, 1],
  ['MQA', 71, 1],
] as const

/** Every kind of picture over many shapes. */
function* everyPicture(): Generator<[name: string, svg: string]> {
  const random = seededRandom(11)
  for (const [kind, heads, kvHeads] of sizes) {
    const subject = subjectOf(kind, heads, kvHeads, heads % 3 === 1)
    for (const size of [1, 5, 9, 64, 130]) {
      const quantity = { name: 'attention', tokens: tokens(size) } as const
      if (size > 9 && heads > 4) continue
      const maps = attentionHeads(heads, kvHeads, size, random)
      for (const scale of size === 9 ? (['shared', 'own'] as const) : (['shared'] as const)) {
        yield [
          `attention of ${size}, ${heads} ${kind}, ${scale}`,
          drawHeadGrid({ subject, layer: 3, heads: maps, quantity, scale }),
        ]
      }
      const [first] = maps
      if (first && heads < 16) {
        const { head, kvHead, ...matrix } = first
        yield [
          `map of ${size}, ${kind}`,
          drawHeatMap({ subject, layer: 3, head, kvHead, matrix, quantity, notes: ['x'.repeat(500)] }),
        ]
      }
    }
    if (kvHeads === null) continue
    for (const [rows, columns] of [
      [50, 64],
      [50, 8],
      [300, 128],
    ] as const) {
      if (rows * heads > 2000) continue
      const slices = weightHeads(heads, kvHeads, rows, columns, random)
      for (const view of ['shared', 'heads'] as const) {
        const picture = { subject, layer: 0, heads: slices, quantity: weights, view, theme: 'dark' } as const
        yield [`weights ${rows} x ${columns}, ${heads} ${kind}, ${view}`, drawHeadGrid(picture)]
      }
    }
    const values = Array.from({ length: heads }, (_, i) =>
      Array.from({ length: heads }, (_, j) => (i === j ? 0 : random())),
    )
    yield [
      `distances, ${heads} ${kind}`,
      drawDistanceMatrix({ subject, layer: 1, measure: 'Jensen-Shannon distance', values }),
    ]
  }
}

describe('pictures', () => {
  it('keep every text inside', () => {
    const outside: string[] = []
    for (const [name, svg] of everyPicture()) {
      const { width, height } = pictureSize(svg)
      for (const { text, left, right, top, bottom } of placedTexts(svg)) {
        if (left < 0 || top < 0 || right > width || bottom > height) outside.push(`${name}: ${text}`)
      }
    }
    expect(outside).toEqual([])
  })

  it('keep the labels of 64 tokens apart and show each', () => {
    const size = 64
    const own = Array.from({ length: size }, (_, position) => ` w${position}`)
    const svg = drawHeatMap({
      subject: subjectOf('MHA', 16, 16),
      layer: 0,
      head: 0,
      kvHead: 0,
      matrix: { rows: size, columns: size, values: randomAttention(size, seededRandom(2)) },
      quantity: { name: 'attention', tokens: own },
    })
    const labels = placedTexts(svg).filter(({ text }) => /^␣w\d+$/.test(text))
    expect(labels).toHaveLength(2 * size)
    const [rows, columns] = [labels.slice(0, size), labels.slice(size)]
    for (let i = 1; i < size; i++) {
      expect(rows[i]?.top).toBeGreaterThanOrEqual(rows[i - 1]?.bottom ?? 0)
      expect(columns[i]?.left).toBeGreaterThanOrEqual(columns[i - 1]?.right ?? 0)
    }
  })

  it('thin the labels of longer prompts and name the position', () => {
    const size = 200
    const svg = drawHeatMap({
      subject: subjectOf('MHA', 16, 16),
      layer: 0,
      head: 0,
      kvHead: 0,
      matrix: { rows: size, columns: size, values: randomAttention(size, seededRandom(2)) },
      quantity: { name: 'attention', tokens: tokens(size) },
    })
    const rows = placedTexts(svg).filter(({ text }) => /^\d+ ␣?\w+$/.test(text))
    expect(rows.length).toBeLessThan(size)
    expect(rows[1]?.text).toBe('4 ␣jumps')
  })

  it('pool what no screen can show, and say so', () => {
    const size = 1100
    const matrix = { rows: size, columns: size, values: new Float32Array(size * size).fill(0.001) }
    const svg = drawHeatMap({
      subject: subjectOf('MHA', 1, 1),
      layer: 0,
      head: 0,
      kvHead: 0,
      matrix,
      quantity: { name: 'attention' },
    })
    expect(svg).toContain('Each cell is the maximum of 4 x 4 values.')
    expect(pictureSize(svg).width).toBeLessThan(1100)
  })

  it('say in capitals that weights are synthetic, and only then', () => {
    const draw = (synthetic: boolean) =>
      drawHeadGrid({
        subject: subjectOf('MHA', 1, 1, synthetic),
        layer: 0,
        heads: attentionHeads(1, 1, 5, seededRandom(1)),
        quantity: { name: 'attention' },
      })
    expect(draw(true)).toContain('>SYNTHETIC WEIGHTS<')
    expect(draw(false)).not.toContain('SYNTHETIC')
  })

  it('stay well-formed whatever a prompt or a name holds', () => {
    const nasty = [`]]>`, '<svg onload="x">', '\u0000\ud800', '\u202eabc', '&amp;', '\'"', '\ufffe']
    const svg = drawHeatMap({
      subject: { ...subjectOf('GQA', 8, 2), model: nasty.join('') },
      layer: 0,
      head: 1,
      kvHead: 0,
      matrix: { rows: 7, columns: 7, values: randomAttention(7, seededRandom(8)) },
      quantity: { name: 'attention', tokens: nasty },
      notes: nasty,
    })
    expect(svg).not.toMatch(/[^\n -\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u)
    expect(svg).not.toContain('onload="')
    expect(svg).not.toContain(']]>')
    expect(svg.match(/<text[ >]/g)?.length).toBe(svg.match(/<\/text>/g)?.length)
    expect(svg.match(/<svg/g)).toHaveLength(1)
  })
})

/** For each bracket over heads the query heads whose labels stand below it. */
function headsUnderBrackets(svg: string, kind: AttentionKind): number[][] {
  const colour = kindStyles[kind].colour.light
  const labels = placedTexts(svg).filter(({ text }) => /^head \d+/.test(text))
  const brackets = [
    ...svg.matchAll(
      new RegExp(`<path fill="none" stroke="${colour}"[^>]* d="M([\\d.]+) ([\\d.]+)V[^"]*H([\\d.]+)Q`, 'g'),
    ),
  ]
  return brackets.map(([, from, y, to]) =>
    labels
      .filter(({ x, y: own }) => x > Number(from) && x < Number(to) + 4 && own > Number(y) && own < Number(y) + 30)
      .map(({ text }) => Number(/\d+/.exec(text)?.[0])),
  )
}

describe('a grid of heads', () => {
  it.each([
    [[16], 4],
    [Array(16).fill(1), 4],
    [[4, 4, 4, 4], 4],
    [Array(8).fill(4), 8],
    [[32], 8],
    [[2, 2, 2, 2], 4],
    [[7, 7], 7],
    [[1], 1],
    [[], 1],
  ] as const)('of groups %j has %d columns', (groups, columns) => {
    expect(gridColumns(groups)).toBe(columns)
  })

  it('names its tokens too, fewer where they would touch', () => {
    const size = 40
    const svg = drawHeadGrid({
      subject: subjectOf('MQA', 16, 1),
      layer: 0,
      heads: attentionHeads(16, 1, size, seededRandom(1)),
      quantity: { name: 'attention', tokens: tokens(size) },
    })
    const labels = placedTexts(svg).filter(({ text }) => /^\d+ ␣?\w+$/.test(text) && !text.startsWith('head'))
    const each = size / 4 // cells of 5 pixels: a label every fourth
    expect(labels).toHaveLength(4 * each + 4 * each) // left of each row, below each column
    const rows = labels.slice(0, each)
    expect(rows[1]?.text).toBe('4 ␣jumps')
    for (const [index, { top }] of rows.entries()) {
      if (index > 0) expect(top).toBeGreaterThanOrEqual(rows[index - 1]?.bottom ?? 0)
    }
  })

  it.each([
    [
      'GQA',
      16,
      4,
      [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
        [12, 13, 14, 15],
      ],
    ],
    [
      'GQA',
      8,
      4,
      [
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
      ],
    ],
    [
      'MQA',
      16,
      1,
      [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
        [12, 13, 14, 15],
      ],
    ],
    ['MHA', 4, 4, [[0], [1], [2], [3]]],
  ] as const)(
    'sets its brackets over the right heads: %s, %d heads, %d K/V heads',
    (kind, heads, kvHeads, expected) => {
      const svg = drawHeadGrid({
        subject: subjectOf(kind, heads, kvHeads),
        layer: 0,
        heads: attentionHeads(heads, kvHeads, 9, seededRandom(1)),
        quantity: { name: 'attention', tokens: tokens(9) },
      })
      expect(headsUnderBrackets(svg, kind)).toEqual(expected)
    },
  )

  it("says on one picture that MQA's heads share one K, and draws it once", () => {
    const subject = subjectOf('MQA', 16, 1)
    const heads = weightHeads(16, 1, 20, 16, seededRandom(3))
    const once = drawHeadGrid({ subject, layer: 0, heads, quantity: weights })
    const texts = placedTexts(once).map(({ text }) => text)
    expect(texts).toContain('MQA: all 16 query heads share one K and one V')
    expect(texts).toContain('stored once, read by heads 0-15')
    expect(
      texts
        .filter((text) => /^\d+$/.test(text))
        .slice(0, 16)
        .map(Number),
    ).toEqual([...Array(16).keys()])
    expect(once.match(/<g transform="translate[^>]*shape-rendering/g)).toHaveLength(1)

    const each = drawHeadGrid({ subject, layer: 0, heads, quantity: weights, view: 'heads' })
    expect(each.match(/image\/png/g)).toHaveLength(16)
    expect(placedTexts(each).filter(({ text }) => text === 'largest difference 0')).toHaveLength(16)
    expect(placedTexts(each).filter(({ text }) => /^head \d+ reads K\/V head 0$/.test(text))).toHaveLength(16)
  })

  it('draws once only what is the same to the last bit', () => {
    const heads = weightHeads(4, 1, 20, 16, seededRandom(3))
    const changed = heads.map((head, index) =>
      index === 2
        ? { ...head, values: Float32Array.from(head.values, (value, at) => (at === 5 ? value + 0.25 : value)) }
        : head,
    )
    const svg = drawHeadGrid({ subject: subjectOf('MQA', 4, 1), layer: 0, heads: changed, quantity: weights })
    expect(placedTexts(svg).map(({ text }) => text)).toContain('largest difference 0.25')
    expect(svg).not.toContain('stored once')
  })

  it('keeps the size of a cell whatever the number of stored matrices', () => {
    const cell = (kvHeads: number) =>
      /translate\([^)]*\) scale\((\d+)\)" shape/.exec(
        drawHeadGrid({
          subject: subjectOf('GQA', 4, kvHeads),
          layer: 0,
          heads: weightHeads(4, kvHeads, 16, 64, seededRandom(3)),
          quantity: weights,
        }),
      )?.[1]
    expect([cell(1), cell(2), cell(4)]).toEqual(['3', '3', '3'])
  })

  it('refuses to draw no head at all', () => {
    const picture = { subject: subjectOf('MHA', 4, 4), layer: 0, heads: [], quantity: weights }
    expect(() => drawHeadGrid(picture)).toThrow('at least one head')
  })

  it('shows a subset of heads under their own brackets', () => {
    const heads = attentionHeads(16, 4, 5, seededRandom(1)).filter(({ head }) => [2, 3, 4, 9].includes(head))
    const svg = drawHeadGrid({ subject: subjectOf('GQA', 16, 4), layer: 0, heads, quantity: { name: 'attention' } })
    expect(headsUnderBrackets(svg, 'GQA')).toEqual([[2, 3], [4], [9]])
  })
})

describe('a difference of two slices', () => {
  it('refuses slices of different shapes', () => {
    const [one, other] = [weightHeads(1, 1, 4, 4, seededRandom(1))[0], weightHeads(1, 1, 4, 5, seededRandom(1))[0]]
    if (!one || !other) return expect.unreachable()
    expect(() =>
      drawDifference({
        subject: subjectOf('MHA', 1, 1),
        layer: 0,
        head: 0,
        kvHead: 0,
        projection: 'K',
        baseline: { label: 'a', matrix: one },
        candidate: { label: 'b', matrix: other },
      }),
    ).toThrow('Slices of 4 x 4 and 4 x 5')
  })
})

describe('pictures kept in docs/pictures, so that a change of drawing is seen', () => {
  const kept = (name: string) => `../../../docs/pictures/${name}.svg`
  const random = () => seededRandom(20261124)

  it('attention of one head', async () => {
    const svg = drawHeatMap({
      subject: subjectOf('GQA', 8, 4),
      layer: 4,
      head: 3,
      kvHead: 1,
      matrix: { rows: 5, columns: 5, values: randomAttention(5, random()) },
      quantity: { name: 'attention', tokens: tokens(5) },
      notes: ['Prompt: the quick brown fox jumps'],
    })
    await expect(svg).toMatchFileSnapshot(kept('attention-map'))
  })

  it('attention of a layer whose heads share one K and V, on a dark ground', async () => {
    const svg = drawHeadGrid({
      subject: subjectOf('MQA', 8, 1, true),
      layer: 2,
      heads: attentionHeads(8, 1, 5, random()),
      quantity: { name: 'attention', tokens: tokens(5) },
      theme: 'dark',
    })
    await expect(svg).toMatchFileSnapshot(kept('attention-grid'))
  })

  it.each([
    ['MHA', 4],
    ['GQA', 2],
    ['MQA', 1],
  ] as const)('weights of %s, each stored matrix once', async (kind, kvHeads) => {
    const svg = drawHeadGrid({
      subject: subjectOf(kind, 4, kvHeads, true),
      layer: 0,
      heads: weightHeads(4, kvHeads, 12, 16, random()),
      quantity: weights,
    })
    await expect(svg).toMatchFileSnapshot(kept(`weights-${kind.toLowerCase()}`))
  })

  it('distances between heads', async () => {
    const next = random()
    const values = Array.from({ length: 8 }, () => Array<number>(8).fill(0))
    for (let i = 0; i < 8; i++) {
      for (let j = 0; j < i; j++) {
        const distance = (Math.floor(i / 2) === Math.floor(j / 2) ? 0.2 : 0.4) + 0.2 * next()
        for (const [row, column] of [
          [i, j],
          [j, i],
        ] as const) {
          const line = values[row]
          if (line) line[column] = distance
        }
      }
    }
    const svg = drawDistanceMatrix({
      subject: subjectOf('GQA', 8, 4),
      layer: 4,
      measure: 'Jensen-Shannon distance',
      values,
    })
    await expect(svg).toMatchFileSnapshot(kept('distances'))
  })

  it('a difference of two slices', async () => {
    const [before, after] = weightHeads(2, 2, 10, 8, random())
    if (!before || !after) return expect.unreachable()
    const svg = drawDifference({
      subject: subjectOf('MHA', 16, 16),
      layer: 0,
      head: 5,
      kvHead: 5,
      projection: 'V',
      baseline: { label: 'gpt2-medium', matrix: before },
      candidate: { label: 'gpt2-medium-kv4', matrix: after },
    })
    await expect(svg).toMatchFileSnapshot(kept('difference'))
  })
})
