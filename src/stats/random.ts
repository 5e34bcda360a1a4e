/** A stream of numbers in [0, 1), the same for the same seed on every machine. */
export type Random = () => number

/**
 * sfc32, Chris Doty-Humphrey's small fast counting generator (PractRand): 128 bits of state, three additions, a shift
 * and a rotation a number. The state is filled from the seed by twelve rounds, as PractRand does.
 * @param seed any whole number; its low 32 bits count
 */
export function seededRandom(seed: number): Random {
  let a = 0
  let b = seed >>> 0
  let c = 0
  let counter = 1
  const next = () => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return (sum >>> 0) / 0x1_0000_0000
  }
  for (let round = 0; round < 12; round += 1) next()
  return next
}

/** A whole number from 0 to `below` - 1. */
export function randomIndex(random: Random, below: number): number {
  return Math.floor(random() * below)
}

/** The items in a random order (Fisher and Yates, inside out); the list given stays as it is. */
export function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  const order: Item[] = []
  for (const item of items) order.splice(randomIndex(random, order.length + 1), 0, item)
  return order
}
