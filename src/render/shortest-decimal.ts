import { toHalfBits } from './half-float.ts'

/**
 * The fewest decimal digits that give the same float32 when they are read back: 0.1, where the double that stands for it
 * is 0.10000000149011612. At most 9 are needed (Steele and White 1990).
 */
export function shortestSingle(value: number): string {
  for (let digits = 6; digits < 9; digits += 1) {
    const rounded = Number(value.toPrecision(digits))
    if (Math.fround(rounded) === value) return String(rounded)
  }
  return String(Number(value.toPrecision(9)))
}

const halves = new Map<number, string>()

/** The same for a half-float, of which there are so few that each is written once. At most 5 digits are needed. */
export function shortestHalf(value: number): string {
  const known = halves.get(value)
  if (known !== undefined) return known
  let text = String(value)
  for (let digits = 1; digits <= 5; digits += 1) {
    const rounded = Number(value.toPrecision(digits))
    if (toHalfBits(rounded) !== toHalfBits(value)) continue
    text = String(rounded)
    break
  }
  halves.set(value, text)
  return text
}
