import { describe, expect, it } from 'vitest'
import {
  causalTiles,
  decodeTile,
  fromOverviewByte,
  levelCount,
  levelSide,
  overviewAddress,
  overviewByte,
  overviewLevel,
  overviewSide,
  placeTile,
  storedAs,
  storedBytes,
  type TileStatistic,
  tileAddress,
  tileAddressTemplate,
} from '../../../src/render/attention-tiles.ts'
import { createTilePyramid, type PyramidTile } from '../../../src/render/tile-pyramid.ts'
import { seededRandom } from '../../../src/stats/random.ts'
import { randomAttention } from '../../support/attention-maps.ts'

/** The pyramid by its definition: every cell of a level from the cells of the map that it stands for. */
function coarsen(map: Float32Array, size: number, level: number, statistic: TileStatistic): Float64Array {
  const side = levelSide(size, level)
  const sums = new Float64Array(side * side)
  const counts = new Float64Array(side * side)
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      const at = (row >> level) * side + (column >> level)
      const value = map[row * size + column] ?? 0
      sums[at] = statistic === 'MEAN' ? (sums[at] ?? 0) + value : Math.max(sums[at] ?? 0, value)
      counts[at] = (counts[at] ?? 0) + 1
    }
  }
  return statistic === 'MEAN' ? sums.map((sum, at) => (counts[at] ? sum / (counts[at] ?? 1) : 0)) : sums
}

function build(map: Float32Array, size: number, blocks: number[]): { tiles: PyramidTile[]; overview: Uint8Array } {
  const tiles: PyramidTile[] = []
  const pyramid = createTilePyramid(size, storedAs(size), (tile) => tiles.push(tile))
  let row = 0
  for (let i = 0; row < size; i++) {
    const end = Math.min(size, row + (blocks[i % blocks.length] ?? 1))
    pyramid.push(map.subarray(row * size, end * size))
    row = end
  }
  return { tiles, overview: pyramid.finish().bytes }
}

/** What was built as text: comparing arrays element by element is slow. */
function asText({ tiles, overview }: ReturnType<typeof build>): string {
  const base64 = (data: Uint8Array) => Buffer.from(data).toString('base64')
  return JSON.stringify([tiles.map((tile) => ({ ...tile, data: base64(tile.data) })), base64(overview)])
}

describe('the pyramid of an attention map', () => {
  it.each([1, 2, 5, 9, 64, 65, 128, 129, 255, 257, 515, 771])('of %d tokens is what its definition says', (size) => {
    const map = randomAttention(size, seededRandom(size))
    const { tiles, overview } = build(map, size, [1, 7, 256, 3])
    const tolerance = storedAs(size) === 'F32' ? 1e-6 : 2.5e-4
    for (let level = 0; level < levelCount(size); level++) {
      const side = levelSide(size, level)
      for (const statistic of level === 0 ? (['MEAN'] as const) : (['MEAN', 'MAXIMUM'] as const)) {
        const own = tiles.filter((tile) => tile.level === level && tile.statistic === statistic)
        const places = own.map(({ row, column, rows, columns }) => ({ row, column, rows, columns }))
        expect(places).toEqual(causalTiles(size, level))
        const assembled = new Float32Array(side * side)
        for (const tile of own) placeTile(assembled, side, tile, decodeTile(tile.data, storedAs(size)))
        const wanted = coarsen(map, size, level, statistic)
        const worst = wanted.reduce((most, value, at) => Math.max(most, Math.abs(value - (assembled[at] ?? 9))), 0)
        expect(worst, `level ${level} ${statistic}`).toBeLessThanOrEqual(tolerance)
      }
    }
    const greatest = coarsen(map, size, overviewLevel(size), 'MAXIMUM')
    expect([...overview]).toEqual([...greatest].map(overviewByte))
    const bytes = tiles.reduce((sum, { data }) => sum + data.byteLength, 0) + overview.length
    expect(bytes).toBe(storedBytes(size))
  })

  it('does not depend on how the rows come', () => {
    const map = randomAttention(300, seededRandom(3))
    expect(asText(build(map, 300, [300]))).toBe(asText(build(map, 300, [1])))
  })

  it('never reads what lies above the diagonal', () => {
    const size = 70
    const map = randomAttention(size, seededRandom(4))
    const poisoned = map.map((value, at) => (at % size > Math.floor(at / size) ? 0.9 : value))
    expect(asText(build(poisoned, size, [16]))).toBe(asText(build(map, size, [16])))
  })

  it('takes rows as long as a query chunk has keys', () => {
    const size = 300
    const map = randomAttention(size, seededRandom(6))
    const tiles: PyramidTile[] = []
    const pyramid = createTilePyramid(size, storedAs(size), (tile) => tiles.push(tile))
    for (const [first, end] of [
      [0, 130],
      [130, 300],
    ] as const) {
      const rows = Array.from({ length: end - first }, (_, row) =>
        Array.from(map.subarray((first + row) * size, (first + row) * size + end)),
      )
      pyramid.push(Float32Array.from(rows.flat()), end)
    }
    expect(asText({ tiles, overview: pyramid.finish().bytes })).toBe(asText(build(map, size, [300])))
  })

  it('keeps a lone spike in every maximum and in the overview', () => {
    const size = 600
    const map = new Float32Array(size * size)
    map[599 * size + 400] = 1
    const { tiles, overview } = build(map, size, [600])
    const coarsest = tiles.filter(({ level, statistic }) => level === 2 && statistic === 'MAXIMUM')
    expect(coarsest.flatMap(({ data }) => [...decodeTile(data, 'F16')]).filter((value) => value === 1)).toHaveLength(1)
    expect(overview[37 * overviewSide(size) + 25]).toBe(255)
  })

  it('emits a tile as soon as its last row is there', () => {
    const size = 512
    const map = randomAttention(size, seededRandom(5))
    const tiles: PyramidTile[] = []
    const pyramid = createTilePyramid(size, 'F16', (tile) => tiles.push(tile))
    pyramid.push(map.subarray(0, 255 * size))
    expect(tiles).toHaveLength(0)
    pyramid.push(map.subarray(255 * size, 256 * size))
    expect(tiles.map(({ level, row, column }) => [level, row, column])).toEqual([[0, 0, 0]])
  })

  it('refuses rows that are not whole, too many or too few', () => {
    const pyramid = createTilePyramid(4, 'F32', () => {})
    expect(() => pyramid.push(new Float32Array(5))).toThrow('A map of 4 rows got 5 values')
    pyramid.push(new Float32Array(12))
    expect(() => pyramid.finish()).toThrow('A map of 4 rows got only 3')
    expect(() => pyramid.push(new Float32Array(8))).toThrow('after its first 3')
  })
})

describe('sizes that all agree on', () => {
  it('stores maps up to 128 tokens as computed', () => {
    expect([128, 129].map(storedAs)).toEqual(['F32', 'F16'])
  })

  it('halves until one tile holds the level', () => {
    expect([1, 256, 257, 512, 513, 2048, 4096].map(levelCount)).toEqual([1, 1, 2, 2, 3, 4, 5])
    expect([64, 65, 2048].map(overviewSide)).toEqual([64, 33, 64])
  })

  it('crops the tiles at the lower and right edge and leaves out those above the diagonal', () => {
    expect(causalTiles(300, 0)).toEqual([
      { row: 0, column: 0, rows: 256, columns: 256 },
      { row: 1, column: 0, rows: 44, columns: 256 },
      { row: 1, column: 1, rows: 44, columns: 44 },
    ])
  })

  it.each([1, 9, 256, 300, 2047, 5000])('counts the bytes of %i tokens as those of its tiles', (size) => {
    const width = storedAs(size) === 'F32' ? 4 : 2
    const ofLevel = (level: number) =>
      causalTiles(size, level).reduce((sum, { rows, columns }) => sum + rows * columns, 0) * (level === 0 ? 1 : 2)
    const cells = Array.from({ length: levelCount(size) }, (_, level) => ofLevel(level)).reduce((a, b) => a + b, 0)
    expect(storedBytes(size)).toBe(cells * width + overviewSide(size) ** 2)
  })

  it('counts the bytes of 2^24 tokens without a list of their tiles', () => {
    const side = 2 ** 24
    // Level 0 alone: half a square, and half a tile more in each row of tiles.
    expect(storedBytes(side)).toBeGreaterThan(2 * ((side * (side + 256)) / 2))
    expect(storedBytes(side)).toBeLessThan(4 * ((side * (side + 256)) / 2))
  })

  it('shows small probabilities in the overview', () => {
    expect([0, 0.0001, 0.25, 1].map(overviewByte)).toEqual([0, 3, 128, 255])
    expect(fromOverviewByte(overviewByte(0.3))).toBeCloseTo(0.3, 2)
  })
})

describe('addresses', () => {
  const map = { runId: '0198f2aa', attempt: 2, prompt: 0 }

  it('name a tile by all it depends on', () => {
    expect(tileAddress({ ...map, layer: 23, head: 5, level: 1, row: 3, column: 2, statistic: 'MAXIMUM' })).toBe(
      '/runs/0198f2aa/attention/0/23/5/1/3/2.f16?attempt=2&statistic=maximum',
    )
    expect(tileAddressTemplate({ ...map, layer: 23, head: 5 })).toBe(
      '/runs/0198f2aa/attention/0/23/5/{level}/{row}/{column}.f16?attempt=2&statistic={statistic}',
    )
  })

  it('name an overview by its layers', () => {
    expect(overviewAddress({ ...map, layers: '0-7' })).toBe(
      '/runs/0198f2aa/attention/0/overview.u8?attempt=2&layers=0-7',
    )
    expect(overviewAddress(map)).toBe('/runs/0198f2aa/attention/0/overview.u8?attempt=2')
  })
})
