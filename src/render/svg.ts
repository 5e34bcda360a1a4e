import { escapeXml, type Face } from './text.ts'
import { grounds, type Theme } from './theme.ts'

/** Fonts of the page first, then what a bare machine is given, then what systems have. No blanks: resvg does not trim them. */
const sans = "'Atkinson Hyperlegible Next','DejaVu Sans',Verdana,sans-serif"
const mono = "'Atkinson Hyperlegible Mono','DejaVu Sans Mono',Menlo,Consolas,monospace"

export interface TextStyle {
  size?: number
  face?: Face
  anchor?: 'start' | 'middle' | 'end'
  fill?: string
  /** turned a quarter to the left: the text runs upwards from (x, y) */
  upwards?: boolean
}

/** A line of text with its baseline at (x, y). Any text is safe: `escapeXml` makes it visible. */
export function textAt(x: number, y: number, text: string, style: TextStyle = {}): string {
  const face = style.face === 'mono' ? ` font-family="${mono}"` : style.face === 'bold' ? ' font-weight="700"' : ''
  const anchor = style.anchor === undefined || style.anchor === 'start' ? '' : ` text-anchor="${style.anchor}"`
  const fill = style.fill === undefined ? '' : ` fill="${style.fill}"`
  const turn = style.upwards ? ` transform="rotate(-90 ${short(x)} ${short(y)})"` : ''
  return `<text x="${short(x)}" y="${short(y)}" font-size="${style.size ?? 12}"${face}${anchor}${fill}${turn}>${escapeXml(text)}</text>`
}

/** A number as short as pixels need it: two decimals. */
export function short(value: number): string {
  return String(Math.round(value * 100) / 100)
}

export function maskId(theme: Theme): string {
  return `kvscope-masked-${theme}`
}

export interface SvgDocument {
  width: number
  height: number
  theme: Theme
  /** for those who do not see the picture */
  title: string
  description: string
  parts: readonly string[]
}

/**
 * The picture as one SVG without style sheet or script: colours and sizes are attributes, which a strict content security
 * policy lets through. The hatching is defined in every picture under an id that names its look, so that several pictures
 * may stand in one page.
 */
export function svgDocument({ width, height, theme, title, description, parts }: SvgDocument): string {
  const { surface, ink, edge } = grounds[theme]
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${Math.ceil(width)}" height="${Math.ceil(height)}" viewBox="0 0 ${Math.ceil(width)} ${Math.ceil(height)}" role="img" font-family="${sans}" fill="${ink}">`,
    `<title>${escapeXml(title)}</title>`,
    `<desc>${escapeXml(description)}</desc>`,
    `<defs><pattern id="${maskId(theme)}" width="6" height="6" patternUnits="userSpaceOnUse"><rect width="6" height="6" fill="${surface}"/><path d="M-1 7L7 -1M-1 1L1 -1M5 7L7 5" stroke="${edge}" stroke-width="0.6" stroke-opacity="0.5"/></pattern></defs>`,
    `<rect width="100%" height="100%" fill="${surface}"/>`,
    ...parts.filter((part) => part !== ''),
    '</svg>',
    '',
  ].join('\n')
}
