/** A colour as sRGB channels of 0 to 255. */
export type Rgb = readonly [red: number, green: number, blue: number]

/** A colour in OKLab (Ottosson 2020): lightness 0 to 1, then green-red and blue-yellow. */
export type Oklab = readonly [lightness: number, a: number, b: number]

const encode = (linear: number): number => (linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055)
const decode = (encoded: number): number => (encoded <= 0.04045 ? encoded / 12.92 : ((encoded + 0.055) / 1.055) ** 2.4)

/** Linear-light sRGB channels of 0 to 1, as colour mixing and contrast need them. */
export function linearRgb(colour: Rgb): [number, number, number] {
  return [decode(colour[0] / 255), decode(colour[1] / 255), decode(colour[2] / 255)]
}

/** The matrices of https://bottosson.github.io/posts/oklab/. Channels outside 0 to 1 are colours that sRGB lacks. */
function oklabToLinearRgb([lightness, a, b]: Oklab): [number, number, number] {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ]
}

export function linearRgbToOklab([red, green, blue]: readonly [number, number, number]): Oklab {
  const l = Math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
  const m = Math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
  const s = Math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ]
}

export function rgbToOklab(colour: Rgb): Oklab {
  return linearRgbToOklab(linearRgb(colour))
}

/**
 * The sRGB colour of OKLCH: lightness 0 to 1, chroma, hue in degrees. A colour that sRGB lacks keeps its lightness and
 * hue and gives up chroma, so that a ramp stays even in lightness.
 */
export function oklch(lightness: number, chroma: number, hue: number): Rgb {
  const radians = (hue * Math.PI) / 180
  const at = (c: number) => oklabToLinearRgb([lightness, c * Math.cos(radians), c * Math.sin(radians)])
  const fits = (c: number) => at(c).every((channel) => channel > -0.0005 && channel < 1.0005)
  let most = chroma
  if (!fits(most)) {
    let least = 0
    for (let step = 0; step < 12; step++) {
      const middle = (least + most) / 2
      if (fits(middle)) least = middle
      else most = middle
    }
    most = least
  }
  const channel = (linear: number) => Math.round(255 * encode(Math.min(1, Math.max(0, linear))))
  const [red, green, blue] = at(most)
  return [channel(red), channel(green), channel(blue)]
}

/** Relative luminance of WCAG 2.2, 0 to 1. */
function luminance(colour: Rgb): number {
  const [red, green, blue] = linearRgb(colour)
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/** Contrast ratio of WCAG 2.2, 1 to 21. */
export function contrast(one: Rgb, other: Rgb): number {
  const [first, second] = [luminance(one), luminance(other)]
  return (Math.max(first, second) + 0.05) / (Math.min(first, second) + 0.05)
}

/**
 * Black or white, whichever reads better on a colour. Judged by luminance the better of the two is never below 4.5:1; by
 * OKLCH's lightness it falls below.
 */
export function textOn(colour: Rgb): '#000000' | '#ffffff' {
  return luminance(colour) > 0.179 ? '#000000' : '#ffffff'
}

export function toHex(colour: Rgb): string {
  return `#${colour.map((channel) => channel.toString(16).padStart(2, '0')).join('')}`
}

/** @param hex `#rrggbb` */
export function fromHex(hex: string): Rgb {
  const word = Number.parseInt(hex.slice(1), 16)
  return [word >> 16, (word >> 8) & 255, word & 255]
}
