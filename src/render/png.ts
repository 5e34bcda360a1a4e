import { createRequire } from 'node:module'
import { renderAsync } from '@resvg/resvg-js'
import { AppError } from '../errors.ts'
import { formatInteger } from './units.ts'

const require = createRequire(import.meta.url)

/** A bare machine has no fonts: these come with kvscope, and no others are used, so that a picture is the same everywhere. */
const fontFiles = ['DejaVuSans', 'DejaVuSans-Bold', 'DejaVuSansMono'].map((name) =>
  require.resolve(`dejavu-fonts-ttf/ttf/${name}.ttf`),
)

export interface PngOptions {
  /** pixels a unit of the SVG; 1 by default, 2 for print and dense screens */
  scale?: number
  /** most pixels of the whole picture; 64 million by default, which takes 256 MB while it is drawn */
  maxPixels?: number
}

/**
 * A picture of ours as PNG, drawn off the main thread.
 * @throws AppError LIMIT_EXCEEDED where width x height x scale^2 is above `maxPixels`
 */
export async function renderPng(svg: string, { scale = 1, maxPixels = 64e6 }: PngOptions = {}): Promise<Buffer> {
  const size = /^<svg [^>]*width="(\d+)" height="(\d+)"/.exec(svg)
  const [width, height] = [Number(size?.[1]), Number(size?.[2])]
  const pixels = width * height * scale * scale
  if (!(pixels <= maxPixels)) {
    throw new AppError(
      'LIMIT_EXCEEDED',
      `A picture of ${width} x ${height} at scale ${scale} has ${formatInteger(pixels)} pixels; the limit is ${formatInteger(maxPixels)}.`,
      'Ask for a smaller scale, for fewer heads, or for the SVG.',
    )
  }
  const image = await renderAsync(svg, {
    fitTo: { mode: 'zoom', value: scale },
    // One pixel a cell must not be blurred into its neighbours.
    imageRendering: 1,
    font: {
      loadSystemFonts: false,
      fontFiles,
      defaultFontFamily: 'DejaVu Sans',
      sansSerifFamily: 'DejaVu Sans',
      monospaceFamily: 'DejaVu Sans Mono',
    },
  })
  return image.asPng()
}
