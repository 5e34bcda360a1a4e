import { bracketHeight, drawBracket } from './brackets.ts'
import { drawCells, mostCellsAsShapes } from './cells.ts'
import { groupHeads } from './head-groups.ts'
import { kindStyles } from './kind-style.ts'
import { framePicture, margin } from './picture-frame.ts'
import { describeSharing, type PictureSubject } from './picture-subject.ts'
import { linearShading } from './shading.ts'
import { short, textAt } from './svg.ts'
import { grounds, type Theme } from './theme.ts'

export interface DistanceMatrixPicture {
  subject: PictureSubject
  layer: number
  /** what the values are, for title and colour bar: `Jensen-Shannon distance`, `linear CKA of W_K` */
  measure: string
  /** by pair of heads, symmetric; null where there is none */
  values: readonly (readonly (number | null)[])[]
  /** query head of each row; 0, 1, 2 by default */
  heads?: readonly number[]
  /** value at the end of the scale; the largest by default */
  end?: number
  notes?: readonly string[]
  theme?: Theme
}

/**
 * How far apart a layer's heads are, pair by pair, with brackets on both sides over the heads that read the same K and V
 * and a frame around each group's own block.
 * @returns an SVG document
 */
export function drawDistanceMatrix(picture: DistanceMatrixPicture): string {
  const { subject, measure, values, theme = 'light' } = picture
  const count = values.length
  const heads = (picture.heads ?? values.map((_, index) => index)).map((head) => ({
    head,
    kvHead: subject.kvHeads === null ? null : Math.floor((head * subject.kvHeads) / subject.heads),
  }))
  const groups = groupHeads(heads)
  const flat = Float64Array.from(values.flat(), (value) => value ?? Number.NaN)
  const largest = flat.reduce((most, value) => (value > most ? value : most), 0)
  const shading = linearShading(subject.kind, theme, picture.end ?? largest, measure)
  const cell = Math.max(6, Math.min(44, Math.floor(700 / Math.max(1, count))))
  const numbered = 11 <= cell
  const labelRoom = numbered ? 26 : 8
  const [unshifted, above] = [margin + bracketHeight + labelRoom + 14, bracketHeight + labelRoom]

  return framePicture({
    subject,
    theme,
    title: `${measure} between heads, ${subject.model}, layer ${picture.layer}`,
    sharing: describeSharing(subject),
    notes: picture.notes ?? [],
    width: unshifted + count * cell + margin,
    height: above + count * cell + 6,
    shading,
    masked: null,
    draw(top, indent) {
      const left = unshifted + indent
      const y = top + above
      const every = cell >= 18 ? 1 : 2
      const matrix = { rows: count, columns: count, values: flat }
      const parts = [
        drawCells({
          matrix,
          shading,
          theme,
          x: left,
          y,
          cell,
          asShapes: count * count <= mostCellsAsShapes,
          numbers: cell >= 40 ? (value) => value.toFixed(2) : null,
        }),
      ]
      for (const [index, { head }] of heads.entries()) {
        if (!numbered || index % every !== 0) continue
        const middle = (index + 0.5) * cell
        const style = { size: 11, face: 'mono' } as const
        parts.push(
          textAt(left + middle, y - 6, String(head), { ...style, anchor: 'middle' }),
          textAt(left - 6, y + middle + 4, String(head), { ...style, anchor: 'end' }),
        )
      }
      let start = 0
      for (const group of groups) {
        const span = group.heads.length * cell
        const offset = start * cell
        const inset = Math.min(2, cell / 8)
        const labels =
          group.kvHead === null
            ? ['one latent']
            : [`K/V head ${group.kvHead}`, `KV ${group.kvHead}`, String(group.kvHead), '']
        const bracket = { kind: subject.kind, theme, width: span - 2 * inset, labels }
        const colour = kindStyles[subject.kind].colour[theme]
        parts.push(
          drawBracket({ ...bracket, x: left + offset + inset, y: top }),
          // The same bracket for the rows: a quarter turn to the left, so that it reads from below.
          `<g transform="translate(${margin + indent} ${short(y + offset + span - inset)}) rotate(-90)">\n${drawBracket({ ...bracket, x: 0, y: 0 })}\n</g>`,
          frameGroup(left + offset, y + offset, span, cell, colour, grounds[theme].surface),
        )
        start += group.heads.length
      }
      return parts.join('\n')
    },
  })
}

/** A frame in the kind's colour on a seam of the ground's, so that it is seen on cells of its own hue. */
function frameGroup(x: number, y: number, side: number, cell: number, colour: string, ground: string): string {
  const rect = (stroke: string, width: number) =>
    `<rect x="${short(x)}" y="${short(y)}" width="${short(side)}" height="${short(side)}" fill="none" stroke="${stroke}" stroke-width="${short(width)}"/>`
  return `${rect(ground, Math.min(6, cell / 3))}\n${rect(colour, Math.min(2, cell / 8))}`
}
