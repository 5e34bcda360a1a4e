import { describe, expect, it } from 'vitest'
import { alibiDistances, alibiSlopes } from '../../../src/heads/alibi-baseline.ts'
import { headBehaviours } from '../../../src/heads/behaviours.ts'
import type { DiversityOptions, LayerDiversity } from '../../../src/heads/diversity.ts'
import { headEntropies } from '../../../src/heads/entropy.ts'
import { meanEstimate } from '../../../src/heads/estimate.ts'
import { jsDistances } from '../../../src/heads/js-distance.ts'
import { startDiversity, whyNoDiversity } from '../../../src/heads/layer-diversity.ts'
import { checkRows, type MapRows, wholeMap } from '../../../src/heads/map-rows.ts'
import { fromHalfBits, toHalfBits } from '../../../src/render/half-float.ts'
import { seededRandom } from '../../../src/stats/random.ts'
import { mean } from '../../../src/stats/summary.ts'
import { causalMaps, randomMaps, stacked } from './maps.ts'

const heads = [
  { head: 2, kvHead: 1 },
  { head: 3, kvHead: 1 },
  { head: 4, kvHead: 2 },
  { head: 5, kvHead: 2 },
]
const lengths = [7, 12, 9, 7, 10, 15]
const layers = [3, 1]
const tokensOf = (prompt: number) =>
  Array.from({ length: lengths[prompt] ?? 0 }, (_, position) => (position * (prompt + 2)) % 5)
const mapsOf = (layer: number, prompt: number) => randomMaps(heads.length, lengths[prompt] ?? 0, 100 * layer + prompt)
const options: DiversityOptions = {
  layers,
  heads,
  prompts: lengths.map((tokens, prompt) => ({ key: `prompt ${prompt}`, tokens })),
}

function runAll(changed: Partial<DiversityOptions> = {}): LayerDiversity[] {
  const diversity = startDiversity({ ...options, ...changed })
  for (const prompt of lengths.keys()) {
    for (const layer of layers) {
      const rows = wholeMap(mapsOf(layer, prompt), heads.length, lengths[prompt] ?? 0)
      diversity.addRows(layer, prompt, rows, tokensOf(prompt))
    }
  }
  return diversity.finish()
}

const piece = (maps: Float32Array, size: number, from: number, to: number): MapRows => ({
  probabilities: stacked(
    ...heads.map((_, head) => maps.subarray((head * size + from) * size, (head * size + to) * size)),
  ),
  heads: heads.length,
  firstQuery: from,
  queries: to - from,
  keys: size,
})

describe('startDiversity', () => {
  const results = runAll()
  const [result] = results
  if (result === undefined) throw new Error('no layer came back')
  const distances = lengths.map((size, prompt) => jsDistances(wholeMap(mapsOf(3, prompt), 4, size)))
  const pair = (prompt: number, one: number, other: number) => distances[prompt]?.[4 * one + other] ?? Number.NaN

  it('gives each layer in the order asked, with the mean distance of each pair over prompts', () => {
    expect(results.map(({ layer }) => layer)).toEqual([3, 1])
    for (const one of heads.keys()) {
      for (const other of heads.keys()) {
        expect(result.jsDistance[one]?.[other]).toBeCloseTo(mean(lengths.map((_, p) => pair(p, one, other))), 12)
      }
    }
  })
  it('averages over all pairs, within and between KV groups, with intervals over prompts', () => {
    const within = lengths.map((_, p) => mean([pair(p, 0, 1), pair(p, 2, 3)]))
    const between = lengths.map((_, p) => mean([pair(p, 0, 2), pair(p, 0, 3), pair(p, 1, 2), pair(p, 1, 3)]))
    const all = lengths.map((_, p) => ((within[p] ?? 0) * 2 + (between[p] ?? 0) * 4) / 6)
    expect(result.withinGroups?.value).toBeCloseTo(mean(within), 12)
    expect(result.betweenGroups?.value).toBeCloseTo(mean(between), 12)
    expect(result.all.value).toBeCloseTo(mean(all), 12)
    expect(result.all.interval?.low).toBeCloseTo(meanEstimate(all).interval?.low ?? Number.NaN, 9)
    expect(result.betweenMinusWithin?.value).toBeCloseTo(mean(between) - mean(within), 12)
  })
  it('has nothing within groups for MHA and nothing between groups for MQA', () => {
    const [mha] = runAll({ heads: heads.map(({ head }) => ({ head, kvHead: head })) })
    expect(mha?.withinGroups).toBeNull()
    expect(mha?.betweenGroups?.value).toBe(mha?.all.value)
    const [mqa] = runAll({ heads: heads.map(({ head }) => ({ head, kvHead: 0 })) })
    expect(mqa?.betweenGroups).toBeNull()
    expect(mqa?.betweenMinusWithin).toBeNull()
    expect(mqa?.withinGroups?.value).toBe(mqa?.all.value)
  })
  it('tells sequences of ids of one length apart, prompt by prompt and whatever the layer', () => {
    const sequences = result.perPrompt.map(({ sequence }) => sequence)
    expect(lengths[3]).toBe(lengths[0])
    expect(new Set(sequences).size).toBe(lengths.length)
    expect(results[1]?.perPrompt.map(({ sequence }) => sequence)).toEqual(sequences)
  })
  it('gives entropy and behaviours by head, named as the model counts its heads', () => {
    const entropies = lengths.map((size, prompt) => headEntropies(wholeMap(mapsOf(3, prompt), 4, size))[1] ?? 0)
    expect(result.entropy[1]?.value).toBeCloseTo(mean(entropies), 12)
    const inductions = lengths.flatMap((size, prompt) => {
      const found = headBehaviours(wholeMap(mapsOf(3, prompt), 4, size), tokensOf(prompt)).induction
      return found === null ? [] : [found[2] ?? Number.NaN]
    })
    const induction = result.behaviours.find(({ head, name }) => head === 4 && name === 'induction')
    expect(induction?.score.value).toBeCloseTo(mean(inductions), 12)
    expect(result.behaviours).toHaveLength(4 * 5)
  })
  it('compares position profiles with the distance on the same rows, and never finds plain profiles further apart', () => {
    expect(result.positionTokens).toBe(7)
    expect(result.positionPrompts).toBe(6)
    const atSeven = lengths.map((size, prompt) => {
      const maps = mapsOf(3, prompt)
      const rows = piece(maps, size, 0, 7)
      const cut = causalMaps(4, 7, (head, query, key) => rows.probabilities[(head * 7 + query) * size + key] ?? 0)
      const cutDistances = jsDistances(wholeMap(cut, 4, 7))
      return mean([1, 2, 3, 6, 7, 11].map((place) => cutDistances[place] ?? Number.NaN))
    })
    expect(result.atPositions?.value).toBeCloseTo(mean(atSeven), 6)
    expect(result.positionBaseline?.value).toBeLessThan(result.atPositions?.value ?? 0)
  })
  it('is the same whether maps come whole or in pieces, and whatever other layers are asked for', () => {
    const diversity = startDiversity({ ...options, layers: [3] })
    for (const [prompt, size] of lengths.entries()) {
      for (const [from, to] of [
        [0, 1],
        [1, 4],
        [4, size],
      ] as const) {
        const rows = piece(mapsOf(3, prompt), size, from, to)
        diversity.addRows(3, prompt, rows, tokensOf(prompt).slice(0, to))
        rows.probabilities.fill(Number.NaN)
      }
    }
    expect(diversity.finish()).toEqual([result])
  })
  it('leaves baselines out where they are not wanted, and changes nothing else', () => {
    const [plain] = runAll({ baselines: false })
    expect(plain?.shuffledBaseline).toBeNull()
    expect(plain?.positionBaseline).toBeNull()
    expect(plain?.positionTokens).toBeNull()
    expect(plain?.all).toEqual(result.all)
  })
  it('puts ALiBi alone beside it where slopes are given, at the lengths of the prompts', () => {
    const slopes = alibiSlopes(4)
    const [withAlibi] = runAll({ alibiSlopes: slopes })
    expect(withAlibi?.alibiBaseline).toEqual({ value: mean(alibiDistances(slopes, lengths)), interval: null })
    expect(result.alibiBaseline).toBeNull()
  })
  it('has no interval under five prompts', () => {
    const few = startDiversity({ ...options, layers: [3], prompts: options.prompts.slice(0, 4) })
    for (const prompt of [0, 1, 2, 3]) {
      few.addRows(3, prompt, wholeMap(mapsOf(3, prompt), 4, lengths[prompt] ?? 0), tokensOf(prompt))
    }
    const [found] = few.finish()
    expect(found?.all.interval).toBeNull()
    expect(found?.shuffledBaseline?.interval).toBeNull()
    expect(found?.all.value).toBeGreaterThan(0)
  })
  it('passes over prompts of one token', () => {
    const prompts = [{ key: 'one', tokens: 1 }, ...options.prompts]
    const diversity = startDiversity({ ...options, layers: [3], prompts })
    diversity.addRows(
      3,
      0,
      wholeMap(
        causalMaps(4, 1, () => 1),
        4,
        1,
      ),
      [1],
    )
    for (const [prompt, size] of lengths.entries()) {
      diversity.addRows(3, prompt + 1, wholeMap(mapsOf(3, prompt), 4, size), tokensOf(prompt))
    }
    const [found] = diversity.finish()
    expect(found?.all).toEqual(result.all)
    expect(found?.positionTokens).toBe(7)
    expect(found?.positionBaseline).toEqual(result.positionBaseline)
    expect(found?.perPrompt.map(({ key }) => key)).toEqual(result.perPrompt.map(({ key }) => key))
  })
  it('shuffles within the sliding window of a layer', () => {
    const alone = (window: number | null) => {
      const size = lengths[0] ?? 0
      const diversity = startDiversity({ ...options, prompts: options.prompts.slice(0, 1), window: () => window })
      const maps = causalMaps(4, size, (_, query, key) => (query === key ? 1 : 0))
      for (const layer of layers) diversity.addRows(layer, 0, wholeMap(maps, 4, size), tokensOf(0))
      return diversity.finish()[0]?.shuffledBaseline?.value
    }
    expect(alone(1)).toBe(0)
    expect(alone(null)).toBeGreaterThan(0.5)
  })
  it('takes more prompts than its position profiles hold', () => {
    const prompts = Array.from({ length: 30 }, (_, prompt) => ({ key: String(prompt), tokens: 7 }))
    const diversity = startDiversity({ ...options, layers: [0], prompts })
    for (const prompt of prompts.keys()) {
      diversity.addRows(0, prompt, wholeMap(randomMaps(4, 7, prompt), 4, 7), tokensOf(0))
    }
    const [found] = diversity.finish()
    expect(found?.perPrompt).toHaveLength(30)
    expect(found?.positionPrompts).toBe(24)
    expect(found?.atPositions?.value).toBeCloseTo(mean(found?.perPrompt.slice(0, 24).map(({ all }) => all) ?? []), 12)
  })
  it('survives JSON unchanged', () => {
    expect(JSON.parse(JSON.stringify(results))).toEqual(results)
  })
  it('sees heads that share K and V look more alike where they do', () => {
    const random = seededRandom(5)
    const diversity = startDiversity({ ...options, layers: [0], prompts: options.prompts })
    for (const [prompt, size] of lengths.entries()) {
      const common = [0, 1].map(() => Array.from({ length: size * size }, () => Math.exp(4 * random())))
      const maps = causalMaps(4, size, (head, query, key) => {
        return (common[head >> 1]?.[query * size + key] ?? 1) * Math.exp(random())
      })
      diversity.addRows(0, prompt, wholeMap(maps, 4, size), tokensOf(prompt))
    }
    const [found] = diversity.finish()
    expect(found?.betweenMinusWithin?.interval?.low).toBeGreaterThan(0)
    expect(found?.all.value).toBeLessThan(found?.shuffledBaseline?.value ?? 0)
  })
})

describe('what startDiversity refuses', () => {
  const start = () => startDiversity({ ...options, layers: [3] })
  const rows = () => wholeMap(mapsOf(3, 0), 4, 7)
  it('one head, or prompts of one token only, with the reason that whyNoDiversity gives', () => {
    expect(whyNoDiversity(1, [9])).toBe('diversity compares heads, and there is one head')
    expect(whyNoDiversity(4, [1, 1])).toMatch('a prompt of at least 2 tokens')
    expect(whyNoDiversity(2, [1, 2])).toBeNull()
    expect(() => startDiversity({ ...options, heads: heads.slice(0, 1) })).toThrow(
      expect.objectContaining({ code: 'VALIDATION_FAILED' }),
    )
  })
  it('maps that are not numbers, as weights of a damaged checkpoint give', () => {
    const broken = rows()
    broken.probabilities.fill(Number.NaN, 2 * 49 + 14, 2 * 49 + 17)
    expect(() => start().addRows(3, 0, broken, tokensOf(0))).toThrow(
      expect.objectContaining({
        code: 'CHECKPOINT_INVALID',
        message: 'layer 3, prompt 0, head 2, query 2: attention probabilities sum to NaN, not to 1',
      }),
    )
  })
  it('no long rows whose small values were rounded to half-floats, all in one direction', () => {
    const keys = 40_000
    const row = Float32Array.from({ length: 2 * keys }, () => fromHalfBits(toHalfBits(1 / keys)))
    const sum = row.subarray(0, keys).reduce((total, value) => total + value, 0)
    expect(Math.abs(sum - 1)).toBeGreaterThan(1e-3)
    const rows = { probabilities: row, heads: 2, firstQuery: keys - 1, queries: 1, keys }
    expect(() => checkRows(rows, 'layer 0')).not.toThrow()
    row[0] = 0.01
    expect(() => checkRows(rows, 'layer 0')).toThrow('probabilities sum to')
  })
  it('rows that are no distributions over their keys', () => {
    const scores = rows()
    scores.probabilities[8] = 0.9
    expect(() => start().addRows(3, 0, scores, tokensOf(0))).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
    const negative = rows()
    negative.probabilities.set([1.25, -0.25], 7)
    expect(() => start().addRows(3, 0, negative, tokensOf(0))).toThrow('the least is -0.25')
  })
  it('rows that were not announced, come twice, out of order or not at all', () => {
    const diversity = start()
    expect(() => diversity.addRows(2, 0, rows(), tokensOf(0))).toThrow('were not announced')
    expect(() => diversity.addRows(3, 6, rows(), tokensOf(0))).toThrow('were not announced')
    diversity.addRows(3, 0, rows(), tokensOf(0))
    expect(() => diversity.addRows(3, 0, rows(), tokensOf(0))).toThrow('rows from query 0 came after 7 rows')
    diversity.addRows(3, 1, wholeMap(mapsOf(3, 1), 4, 12), tokensOf(1))
    expect(() => diversity.addRows(3, 0, rows(), tokensOf(0))).toThrow('prompt 0 came twice')
    expect(() => diversity.finish()).toThrow('layer 3 has rows of 2 prompts only')
  })
  it('an array of another size than its shape says', () => {
    const wrong = { ...rows(), keys: 6 }
    expect(() => start().addRows(3, 0, wrong, tokensOf(0))).toThrow('are no rows [4, 7, 6] from query 0')
  })
})
