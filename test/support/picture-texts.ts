import { textWidth } from '../../src/render/text.ts'

export interface PlacedText {
  text: string
  x: number
  y: number
  /** corners of the box that the line takes at most */
  left: number
  right: number
  top: number
  bottom: number
}

type Transform = (x: number, y: number) => [number, number]

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }

/** Every line of text of one of our SVGs, with the box it takes, through the groups that it stands in. */
export function placedTexts(svg: string): PlacedText[] {
  const found: PlacedText[] = []
  const stack: Transform[] = []
  for (const [, close, tag, attributes = '', content = ''] of svg.matchAll(/<(\/?)(g|text)\b([^>]*)>([^<]*)/g)) {
    if (tag === 'g') {
      if (close) stack.pop()
      else stack.push(readTransform(attribute(attributes, 'transform')))
      continue
    }
    if (close) continue
    const text = content.replace(/&([a-z#0-9]+);/g, (_, name: string) => entities[name] ?? '?')
    const size = Number(attribute(attributes, 'font-size'))
    const face = attributes.includes('Mono') ? 'mono' : attributes.includes('font-weight') ? 'bold' : 'regular'
    const width = textWidth(text, size, face)
    const [x, y] = [Number(attribute(attributes, 'x')), Number(attribute(attributes, 'y'))]
    const anchor = attribute(attributes, 'text-anchor')
    const start = anchor === 'middle' ? x - width / 2 : anchor === 'end' ? x - width : x
    const own = readTransform(attribute(attributes, 'transform'))
    const outwards = ([px, py]: [number, number]) =>
      [own, ...stack.toReversed()].reduce<[number, number]>(([ax, ay], transform) => transform(ax, ay), [px, py])
    const corners = [outwards([start, y - 0.8 * size]), outwards([start + width, y + 0.25 * size])]
    const [xs, ys] = [corners.map(([cx = 0]) => cx), corners.map(([, cy = 0]) => cy)]
    const [px = 0, py = 0] = outwards([x, y])
    found.push({
      text,
      x: px,
      y: py,
      left: Math.min(...xs),
      right: Math.max(...xs),
      top: Math.min(...ys),
      bottom: Math.max(...ys),
    })
  }
  return found
}

export function pictureSize(svg: string): { width: number; height: number } {
  const [, width, height] = /^<svg [^>]*width="(\d+)" height="(\d+)"/.exec(svg) ?? []
  return { width: Number(width), height: Number(height) }
}

function attribute(attributes: string, name: string): string {
  return new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(attributes)?.[1] ?? ''
}

/** Moves, scales and quarter turns to the left, the only ones that our pictures use. */
function readTransform(list: string): Transform {
  const steps = [...list.matchAll(/(\w+)\(([^)]*)\)/g)].map(([, name = '', numbers = '']): Transform => {
    const [a = 0, b = 0, c = 0] = numbers.split(' ').map(Number)
    if (name === 'translate') return (x, y) => [x + a, y + b]
    if (name === 'scale') return (x, y) => [x * a, y * a]
    if (name === 'rotate' && a === -90) return (x, y) => [b + (y - c), c - (x - b)]
    throw new Error(`Unknown transform ${list}`)
  })
  return (x, y) => steps.reduceRight<[number, number]>(([px, py], step) => step(px, py), [x, y])
}
