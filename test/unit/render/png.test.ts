import { inflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { drawHeadGrid } from '../../../src/render/head-grid.ts'
import { encodePalettePng, pngDataUri } from '../../../src/render/palette-png.ts'
import { renderPng } from '../../../src/render/png.ts'
import { seededRandom } from '../../../src/stats/random.ts'
import { weightHeads } from '../../support/attention-maps.ts'

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

describe('pictures as PNG', () => {
  const subject = { model: 'gpt2-medium', kind: 'GQA', heads: 4, kvHeads: 2, synthetic: false } as const
  const heads = weightHeads(4, 2, 50, 64, seededRandom(1))
  const svg = drawHeadGrid({ subject, layer: 0, heads, quantity: { name: 'weights', projection: 'K' } })
  const [width = 0, height = 0] = (/width="(\d+)" height="(\d+)"/.exec(svg) ?? []).slice(1).map(Number)

  it.each([1, 2])('have the size of the SVG at scale %d', async (scale) => {
    const png = await renderPng(svg, { scale })
    expect([...png.subarray(0, 8)]).toEqual(signature)
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([width * scale, height * scale])
  })

  it('are the same each time, on a machine without fonts as well', async () => {
    expect(Buffer.compare(await renderPng(svg), await renderPng(svg))).toBe(0)
    const blank = svg.replaceAll(/<text[^>]*>[^<]*<\/text>/g, '')
    // The text is there: without it far less is left to compress.
    expect((await renderPng(svg)).length).toBeGreaterThan((await renderPng(blank)).length + 3000)
  })

  it('are refused above the limit of pixels, with the arithmetic', async () => {
    await expect(renderPng(svg, { scale: 40, maxPixels: 1e6 })).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      message: expect.stringContaining(`${width} x ${height} at scale 40`),
    })
    await expect(renderPng(svg, { scale: Number.NaN })).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
  })
})

describe('the PNG of cells inside an SVG', () => {
  it('holds exactly the indices and the palette, also over more than one stored block', () => {
    const [rows, columns] = [300, 301]
    const indices = Uint8Array.from({ length: rows * columns }, (_, at) => (at * 7) % 3)
    const palette = [
      [1, 2, 3],
      [255, 0, 9],
      [40, 50, 60],
    ] as const
    const png = Buffer.from(encodePalettePng(indices, columns, palette))
    expect([...png.subarray(0, 8)]).toEqual(signature)
    const chunks = new Map<string, Buffer>()
    for (let at = 8; at < png.length; ) {
      const length = png.readUInt32BE(at)
      chunks.set(png.toString('latin1', at + 4, at + 8), png.subarray(at + 8, at + 8 + length))
      at += 12 + length
    }
    expect([...chunks.keys()]).toEqual(['IHDR', 'PLTE', 'IDAT', 'IEND'])
    expect([...(chunks.get('PLTE') ?? [])]).toEqual(palette.flat())
    const lines = inflateSync(chunks.get('IDAT') ?? Buffer.alloc(0))
    for (let row = 0; row < rows; row++) {
      const line = lines.subarray(row * (columns + 1), (row + 1) * (columns + 1))
      expect(line[0]).toBe(0)
      if (Buffer.compare(line.subarray(1), indices.subarray(row * columns, (row + 1) * columns)) !== 0)
        expect.fail(`row ${row}`)
    }
  })

  it('is shown by a decoder that checks its sums', async () => {
    const uri = pngDataUri(
      encodePalettePng(Uint8Array.of(0, 1), 2, [
        [255, 0, 0],
        [0, 0, 255],
      ]),
    )
    const svg = (href: string) =>
      `<svg xmlns="http://www.w3.org/2000/svg" width="200" height="100"><image width="200" height="100" preserveAspectRatio="none" image-rendering="pixelated" href="${href}"/></svg>`
    const flat =
      '<svg xmlns="http://www.w3.org/2000/svg" width="200" height="100"><path fill="#f00" d="M0 0h100v100H0z"/><path fill="#00f" d="M100 0h100v100H100z"/></svg>'
    expect(Buffer.compare(await renderPng(svg(uri)), await renderPng(flat))).toBe(0)
  })
})
