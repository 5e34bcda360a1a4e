import { mean } from '../stats/summary.ts'
import { type Estimate, meanEstimate } from './estimate.ts'
import { addDivergences, pairDistances, startDivergences } from './js-distance.ts'
import { headStride, type MapRows, rowStart } from './map-rows.ts'

/** All profiles of one accumulator together, of every layer. */
const profileBytes = 64 * 1024 ** 2
const mostTokens = 64
const mostPrompts = 24

/** First rows of the maps of several prompts in one layer, to be averaged at equal (query, key). */
export interface Profiles {
  heads: number
  /** queries 0 to tokens - 1 */
  tokens: number
  /** prompts kept, in order */
  prompts: number
  /** [prompts, heads, tokens (tokens + 1) / 2], lower triangles row by row */
  triangles: Float32Array
}

/**
 * How many tokens and prompts a profile holds: the shortest prompt's, at most 64 tokens of the first 24 prompts, and
 * less where the profiles of all layers would take more than 64 MiB (32 layers x 71 heads x 24 prompts: 24 tokens).
 * @param lengths tokens of each prompt
 */
export function profileExtent(
  layers: number,
  heads: number,
  lengths: readonly number[],
): { tokens: number; prompts: number } {
  const prompts = Math.min(lengths.length, mostPrompts)
  const shortest = lengths.slice(0, prompts).reduce((least, length) => Math.min(least, length), mostTokens)
  const cells = profileBytes / (4 * layers * heads * Math.max(1, prompts))
  const affordable = Math.floor((Math.sqrt(8 * cells + 1) - 1) / 2)
  return { tokens: Math.min(shortest, affordable), prompts }
}

const triangle = (tokens: number) => (tokens * (tokens + 1)) / 2

export function startProfiles(heads: number, extent: { tokens: number; prompts: number }): Profiles {
  return { heads, ...extent, triangles: new Float32Array(extent.prompts * heads * triangle(extent.tokens)) }
}

/** Keeps what of these rows lies within the profile. */
export function keepProfile(profiles: Profiles, prompt: number, rows: MapRows): void {
  const { heads, tokens, prompts, triangles } = profiles
  if (prompt >= prompts) return
  const cells = triangle(tokens)
  const end = Math.min(tokens, rows.firstQuery + rows.queries)
  for (let query = rows.firstQuery; query < end; query += 1) {
    for (let head = 0; head < heads; head += 1) {
      const start = rowStart(rows, query) + head * headStride(rows)
      const row = rows.probabilities.subarray(start, start + query + 1)
      triangles.set(row, (prompt * heads + head) * cells + triangle(query))
    }
  }
}

/**
 * Mean JS distance between heads' position profiles: their maps averaged over prompts at equal (query, key), where
 * content that differs between prompts averages out and what hangs on position stays. The distance that the heads would
 * have if each did always what it does on average at that place.
 *
 * JSD is jointly convex, as each f-divergence is, so with the prompts at hand it is never above the root mean square of the distances
 * on the same rows. Few prompts leave content in the average, which makes profiles too far apart by a term in
 * 1 / prompts; the jackknife takes that term out: with t the distance of all profiles and t(k) that without prompt k,
 * the estimate is the mean of the pseudo-values n t - (n - 1) t(k) (Efron and Tibshirani 1993, chapters 10 and 11),
 * and these are resampled for the interval.
 * @returns null where fewer than two prompts or two tokens were kept
 */
export function positionDistance(profiles: Profiles, seed = 0): Estimate | null {
  const { heads, tokens, prompts, triangles } = profiles
  if (prompts < 2 || tokens < 2) return null
  const size = heads * triangle(tokens)
  const sum = new Float64Array(size)
  for (let prompt = 0; prompt < prompts; prompt += 1) {
    for (let cell = 0; cell < size; cell += 1) sum[cell] = (sum[cell] ?? 0) + (triangles[prompt * size + cell] ?? 0)
  }
  const profile = new Float32Array(size)
  for (let cell = 0; cell < size; cell += 1) profile[cell] = (sum[cell] ?? 0) / prompts
  const whole = meanTriangleDistance(profile, heads, tokens)
  const pseudoValues = new Float64Array(prompts)
  for (let left = 0; left < prompts; left += 1) {
    for (let cell = 0; cell < size; cell += 1) {
      profile[cell] = Math.max(0, ((sum[cell] ?? 0) - (triangles[left * size + cell] ?? 0)) / (prompts - 1))
    }
    pseudoValues[left] = prompts * whole - (prompts - 1) * meanTriangleDistance(profile, heads, tokens)
  }
  const { value, interval } = meanEstimate(pseudoValues, { seed })
  return { value: Math.max(0, value), interval }
}

/** Mean over pairs of the JS distance between lower triangles [heads, tokens (tokens + 1) / 2]. */
function meanTriangleDistance(triangles: Float32Array, heads: number, tokens: number): number {
  const divergences = startDivergences(heads)
  for (let query = 1; query < tokens; query += 1) {
    addDivergences(divergences, triangles, triangle(query), triangle(tokens), query + 1)
  }
  return mean(pairDistances(divergences))
}
