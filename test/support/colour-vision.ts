import { fromHex, linearRgb, linearRgbToOklab, type Oklab, type Rgb } from '../../src/render/colour-space.ts'

type Matrix3 = readonly [readonly number[], readonly number[], readonly number[]]

/** How colours look to eyes that lack one kind of cone: Machado, Oliveira, Fernandes 2009, severity 1, on linear sRGB. */
export const visions = {
  normal: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protan: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deutan: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritan: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
} as const satisfies Record<string, Matrix3>

export type Vision = keyof typeof visions

export function seenBy(vision: Vision, colour: Rgb): Oklab {
  const linear = linearRgb(colour)
  const channel = (row: readonly number[]) =>
    Math.min(
      1,
      Math.max(
        0,
        row.reduce((sum, weight, index) => sum + weight * (linear[index] ?? 0), 0),
      ),
    )
  const [red, green, blue] = visions[vision]
  return linearRgbToOklab([channel(red), channel(green), channel(blue)])
}

/** Distance of two colours in OKLab x 100. */
export function distance(vision: Vision, one: string, other: string): number {
  const [a, b] = [seenBy(vision, fromHex(one)), seenBy(vision, fromHex(other))]
  return 100 * Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])
}
