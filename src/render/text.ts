/**
 * Text as SVG can hold it. A prompt may carry any byte: what XML forbids, what would end a section, and what would turn
 * or hide the text around it is written out instead (`\u202e`), so that a reader sees it and no reader is fooled.
 */
export function visibleText(text: string): string {
  let shown = ''
  for (const character of text) shown += showCharacter(character)
  return shown
}

function showCharacter(character: string): string {
  const point = character.codePointAt(0) ?? 0
  if (point === 0x0a) return '↵'
  if (point === 0x09) return '⇥'
  if (point < 0x20 || (point >= 0x7f && point < 0xa0)) return `\\x${point.toString(16).padStart(2, '0')}`
  if (point >= 0xd800 && point <= 0xdfff) return '\ufffd'
  if ((point & 0xfffe) === 0xfffe || (point >= 0xfdd0 && point <= 0xfdef)) return '\ufffd'
  return turnsOrHides(point) ? `\\u${point.toString(16).padStart(4, '0')}` : character
}

/** Direction marks and overrides, characters of no width, line separators, and the invisible tags. */
function turnsOrHides(point: number): boolean {
  return (
    point === 0xad ||
    point === 0x61c ||
    point === 0x200b ||
    (point >= 0x200e && point <= 0x200f) ||
    (point >= 0x2028 && point <= 0x202e) ||
    (point >= 0x2060 && point <= 0x206f) ||
    point === 0xfeff ||
    (point >= 0xfff9 && point <= 0xfffb) ||
    (point >= 0xe0000 && point <= 0xe0fff)
  )
}

/** Text made visible and safe in SVG, both between tags and inside quoted attributes. */
export function escapeXml(text: string): string {
  return visibleText(text)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}

/** A token as a label: spaces are seen (`␣fox`), long ones are cut to `limit` characters. */
export function tokenLabel(token: string, limit = 14): string {
  if (token === '') return '∅'
  const characters = [...visibleText(token).replaceAll(' ', '␣').replaceAll('\u00a0', '␣')]
  return characters.length > limit ? `${characters.slice(0, limit - 1).join('')}…` : characters.join('')
}

/** Advance widths of DejaVu Sans Bold from U+0020 to U+007E in thousandths of an em: the widest font of our list. */
const boldWidths = [
  348, 456, 521, 838, 696, 1002, 872, 306, 457, 457, 523, 838, 380, 415, 380, 365, 696, 696, 696, 696, 696, 696, 696,
  696, 696, 696, 400, 400, 838, 838, 838, 580, 1000, 774, 762, 734, 830, 683, 683, 821, 837, 372, 372, 775, 637, 995,
  837, 850, 733, 850, 770, 720, 682, 812, 774, 1103, 771, 724, 725, 457, 365, 457, 838, 500, 500, 675, 716, 593, 716,
  678, 435, 716, 712, 343, 343, 665, 343, 1042, 712, 687, 716, 716, 493, 595, 478, 712, 652, 924, 645, 652, 582, 712,
  365, 712, 838,
]
const regularWidths = [
  318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636, 636, 636,
  636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863,
  748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635,
  615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636,
  337, 636, 838,
]

export type Face = 'regular' | 'bold' | 'mono'

/**
 * Pixels that a line takes, from the widths of DejaVu, the widest of the fonts that we name: an upper bound for the
 * others. Characters outside ASCII count as one em (no narrower than ideographs), in the mono face 0.602 below U+1100.
 */
export function textWidth(text: string, size: number, face: Face = 'regular'): number {
  let thousandths = 0
  for (const character of visibleText(text)) {
    const point = character.codePointAt(0) ?? 0
    if (face === 'mono') thousandths += point < 0x1100 || (point >= 0x2000 && point < 0x2e80) ? 602 : 1000
    else if (point >= 0x300 && point < 0x370) continue
    else thousandths += (face === 'bold' ? boldWidths : regularWidths)[point - 0x20] ?? 1000
  }
  return (thousandths * size) / 1000
}

/** Cuts a line at the end so that it takes at most `width` pixels. */
export function fitText(text: string, width: number, size: number, face: Face = 'regular'): string {
  const visible = visibleText(text)
  const room = width - textWidth('…', size, face)
  let used = 0
  let kept = ''
  let cut: string | null = null
  for (const character of visible) {
    if (cut === null && used + textWidth(character, size, face) > room) cut = kept
    used += textWidth(character, size, face)
    if (used > width) return `${(cut ?? kept).trimEnd()}…`
    kept += character
  }
  return kept
}

/**
 * Breaks text at spaces into lines of at most `width` pixels; a longer word is cut. What does not fit into `mostLines`
 * lines, as of a long prompt, is left out behind an ellipsis.
 */
export function wrapText(
  text: string,
  width: number,
  size: number,
  { face = 'regular', mostLines = 4 }: { face?: Face; mostLines?: number } = {},
): string[] {
  // No line holds more characters than a few a pixel.
  const most = Math.ceil(mostLines * width)
  const visible = visibleText(text.slice(0, most))
  const words = (text.length > most ? `${visible}…` : visible).split(' ')
  const lines: string[] = []
  let line = ''
  for (const [index, word] of words.entries()) {
    const joined = line === '' ? word : `${line} ${word}`
    if (textWidth(joined, size, face) <= width) {
      line = joined
      continue
    }
    if (line !== '' && lines.length === mostLines - 1) {
      return [...lines, fitText(`${line} ${words.slice(index).join(' ')}`, width, size, face)]
    }
    if (line !== '') lines.push(line)
    line = fitText(word, width, size, face)
  }
  return line === '' ? lines : [...lines, line]
}

/** `0-3, 7, 9-11`, as ranges of ascending numbers. */
export function formatRanges(numbers: readonly number[]): string {
  const parts: string[] = []
  let start = 0
  for (let i = 1; i <= numbers.length; i++) {
    if (i < numbers.length && numbers[i] === (numbers[i - 1] ?? 0) + 1) continue
    const [first, last] = [numbers[start], numbers[i - 1]]
    parts.push(first === last ? `${first}` : `${first}-${last}`)
    start = i
  }
  return parts.join(', ')
}
