import { isLater } from './grid-cells.ts'
import { drawsOnce, gridColumns, groupHeads, type HeadMatrix } from './head-groups.ts'
import type { Quantity } from './heat-map.ts'
import { kindStyles } from './kind-style.ts'
import { type Matrix, poolBlocks } from './matrix.ts'
import { matrixName } from './matrix-name.ts'
import { enlarge, type Paint, paintCells, painter, paintSteps } from './paint-cells.ts'
import { describeSharing, type PictureSubject } from './picture-subject.ts'
import { attentionShading, type Shading, weightsShading } from './shading.ts'
import { wrap } from './table.ts'
import type { ColourDepth } from './terminal-colour.ts'
import { formatRanges } from './text.ts'
import type { Theme } from './theme.ts'
import { weightsScale } from './weights-ramp.ts'

export interface TerminalPicture {
  subject: PictureSubject
  heads: readonly HeadMatrix[]
  quantity: Quantity
  /** as in `drawHeadGrid` */
  view?: 'shared' | 'heads'
  /** columns of the screen */
  width: number
  colours: ColourDepth
  /** what the terminal's ground is taken for; dark by default, as most are */
  theme?: Theme
}

/** A matrix to be painted, under the query heads that read it. */
interface Panel {
  heads: readonly number[]
  kvHead: number | null
  matrix: Matrix
}

const gap = 2

/**
 * The heads of a layer for a terminal: two cells a character where it has colours (upper half, lower half), one character
 * for two rows where it has none. Over the heads that read one K/V head stands a bracket. What is too wide is pooled, mean
 * for weights and maximum for attention, and the legend says so.
 * @returns lines joined by line breaks, each at most `width` columns (of 24 at least)
 * @throws RangeError without heads
 */
export function paintHeads(picture: TerminalPicture): string {
  const { subject, quantity, colours, theme = 'dark' } = picture
  if (picture.heads.length === 0) throw new RangeError('A grid of heads needs at least one head.')
  const width = Math.max(24, picture.width)
  const attention = quantity.name === 'attention'
  const panels = panelsOf(picture)
  const columns = Math.max(1, ...panels.map(({ matrix }) => matrix.columns))
  const perRow = panelsARow(panels, columns, width)
  const room = Math.max(1, Math.floor((width + gap) / perRow) - gap)
  const factor = Math.max(1, Math.ceil(columns / room))
  const by = attention ? 'maximum' : 'mean'
  const pooled = panels.map(({ matrix }) => (factor === 1 ? matrix : poolBlocks(matrix, factor, factor, by)))
  // A cell is half as high as it is wide in characters: twice as wide and a whole line high it is a square as well.
  const zoom = attention && factor === 1 && 2 * columns <= room ? 2 : 1
  const shading = attention
    ? attentionShading(subject.kind, theme)
    : weightsShading(theme, quantity.scale ?? weightsScale(pooled), `weight, ${matrixName(quantity.projection)}`)
  const blocks = pooled.map((matrix) => paintCells(enlarge(matrix, zoom), shading, colours, by))

  const paint = painter(colours, kindStyles[subject.kind].colour[theme])
  const [sharing = '', ...rest] = wrap(describeSharing(subject), width - 2)
  const lines = [`${paint(kindStyles[subject.kind].mark.character)} ${sharing}`, ...rest.map((line) => `  ${line}`)]
  const cells = Math.max(...pooled.map((matrix) => matrix.columns)) * zoom
  for (let first = 0; first < panels.length; first += perRow) {
    const row = panels.slice(first, first + perRow)
    const place = row.length === 1 ? Math.max(cells, Math.min(width, widthOfReaders(row[0]))) : cells
    const side = ' '.repeat(Math.floor((place - cells) / 2))
    lines.push('', ...headLines(picture, row, place, paint, first > 0))
    const painted = blocks.slice(first, first + perRow)
    for (let line = 0; line < Math.max(...painted.map((block) => block.length)); line++) {
      lines.push(painted.map((block) => side + (block[line] ?? ' '.repeat(cells))).join(' '.repeat(gap)))
    }
  }
  const notes = attention ? ['blank: later tokens'] : panels.length > 1 ? ['one scale for all'] : []
  const values = factor * ((quantity.name === 'attention' ? quantity.pooled?.factor : undefined) ?? 1)
  if (values > 1) notes.push(`each cell is the ${by} of ${values} x ${values} values`)
  return [...lines, '', ...legend(shading, colours, notes, width)].map((line) => line.trimEnd()).join('\n')
}

/** Heads, or the matrices that heads share, each once: by the same rule as `drawHeadGrid`. */
function panelsOf({ heads, quantity, view = 'shared' }: TerminalPicture): Panel[] {
  if (quantity.name === 'attention') {
    return heads.map((head) => ({ heads: [head.head], kvHead: head.kvHead, matrix: maskLater(head) }))
  }
  const each = () => heads.map((matrix) => ({ heads: [matrix.head], kvHead: matrix.kvHead, matrix }))
  if (!drawsOnce({ heads, quantity, view })) return each()
  return groupHeads(heads).flatMap(({ kvHead, heads: readers }) => {
    const [matrix] = readers
    return matrix === undefined ? [] : [{ heads: readers.map(({ head }) => head), kvHead, matrix }]
  })
}

function maskLater({ rows, columns, values }: Matrix): Matrix {
  const masked = Float64Array.from({ length: rows * columns }, (_, at) =>
    isLater(Math.floor(at / columns), at % columns) ? Number.NaN : (values[at] ?? Number.NaN),
  )
  return { rows, columns, values: masked }
}

/** As in the grid of a picture, but no panel narrower than 14 columns, where its label needs them, unless it is smaller. */
function panelsARow(panels: readonly Panel[], columns: number, width: number): number {
  const groups = groupHeads(panels.map(({ heads, kvHead }) => ({ head: heads[0] ?? 0, kvHead })))
  let perRow = gridColumns(groups.map(({ heads }) => heads.length))
  const least = Math.min(14, Math.max(8, columns))
  while (perRow > 1 && perRow * (least + gap) - gap > width) perRow = Math.ceil(perRow / 2)
  return perRow
}

/** Bracket and numbers over the panels of one row. */
function headLines(
  picture: TerminalPicture,
  row: readonly Panel[],
  place: number,
  paint: Paint,
  later: boolean,
): string[] {
  const { subject } = picture
  const mark = kindStyles[subject.kind].mark.character
  const shared = row.some(({ heads }) => heads.length > 1)
  const between = ' '.repeat(gap)
  if (shared) {
    const label = ({ kvHead }: Panel) =>
      kvHead === null
        ? pickShort([`${mark} the one latent, stored once`, `${mark} one latent`, mark], place)
        : pickShort(
            [`${mark} K/V head ${kvHead}, stored once`, `${mark} KV ${kvHead}, once`, `${mark} ${kvHead}`],
            place,
          )
    const readers = ({ heads }: Panel) =>
      pickShort([heads.join(' '), `heads ${formatRanges(heads)}`, formatRanges(heads)], place)
    return [
      row
        .map((panel) => centre(label(panel), place))
        .join(between)
        .replaceAll(mark, paint(mark)),
      row.map((panel) => centre(readers(panel), place)).join(between),
      row.map((panel) => paint(under(Math.max(3, readers(panel).length), place))).join(between),
    ]
  }
  const runs = groupHeads(row.map(({ heads, kvHead }) => ({ head: heads[0] ?? 0, kvHead })))
  const own = subject.kvHeads === subject.heads
  const spans = runs.map(({ kvHead, heads }) => {
    const width = heads.length * (place + gap) - gap
    const again = later && !own && !startsGroup(picture, heads[0]?.head ?? 0)
    const name = kvHead === null ? 'one latent' : `K/V head ${kvHead}`
    const label = pickShort(
      again
        ? [`${mark} the same ${name}`, `${mark} same`, mark]
        : [own ? `${mark} own KV ${kvHead}` : `${mark} ${name}`, `${mark} KV ${kvHead ?? ''}`, mark],
      width,
    )
    return { label: centre(label, width), line: `╭${'─'.repeat(Math.max(0, width - 2))}╮` }
  })
  return [
    spans
      .map(({ label }) => label)
      .join(between)
      .replaceAll(mark, paint(mark)),
    spans.map(({ line }) => paint(line)).join(between),
    row.map(({ heads }) => centre(pickShort([`head ${heads[0]}`, String(heads[0])], place), place)).join(between),
  ]
}

function startsGroup({ heads }: TerminalPicture, head: number): boolean {
  return groupHeads(heads).some((group) => group.heads[0]?.head === head)
}

/** A bracket under the numbers of the heads, with its stem in the middle. */
function under(width: number, place: number): string {
  const left = Math.floor((width - 3) / 2)
  return centre(`╰${'─'.repeat(left)}┬${'─'.repeat(width - 3 - left)}╯`, place)
}

function widthOfReaders(panel: Panel | undefined): number {
  return panel === undefined ? 0 : Math.max(26, panel.heads.join(' ').length)
}

function pickShort(texts: readonly string[], width: number): string {
  return texts.find((text) => text.length <= width) ?? (texts.at(-1) ?? '').slice(0, width)
}

function centre(text: string, width: number): string {
  const left = Math.max(0, Math.floor((width - text.length) / 2))
  return `${' '.repeat(left)}${text}`.padEnd(width)
}

/** A swatch for each value of the colour bar, then the notes, broken where the screen ends. */
function legend(shading: Shading, colours: ColourDepth, notes: readonly string[], width: number): string[] {
  const items = shading.ticks.map(({ at, label }) => {
    const step = Math.round(at * (shading.ramp.length - 1))
    return { swatch: paintSteps([[step, step]], shading, colours), label: ` ${label}` }
  })
  const parts = [
    { painted: `${shading.caption}:`, width: shading.caption.length + 1 },
    ...items.map(({ swatch, label }) => ({ painted: `${swatch}${label}`, width: 1 + label.length })),
    ...notes.flatMap((note) => wrap(note, width)).map((note) => ({ painted: note, width: note.length })),
  ]
  const lines: string[] = []
  let line = ''
  let used = 0
  for (const part of parts) {
    if (used > 0 && used + 2 + part.width > width) {
      lines.push(line)
      line = ''
      used = 0
    }
    line += `${used > 0 ? '  ' : ''}${part.painted}`
    used += (used > 0 ? 2 : 0) + part.width
  }
  return [...lines, line]
}
