import { describe, expect, it } from 'vitest'
import { type ComparableDiversity, compareDiversity } from '../../../src/heads/compare-diversity.ts'
import type { PromptDiversity } from '../../../src/heads/diversity.ts'
import { meanEstimate } from '../../../src/heads/estimate.ts'
import { mean } from '../../../src/stats/summary.ts'

const prompt = (key: string, all: number, changed: Partial<PromptDiversity> = {}): PromptDiversity => ({
  key,
  tokens: 20,
  all,
  withinGroups: null,
  betweenGroups: all,
  shuffledBaseline: 0.7,
  atPositions: null,
  ...changed,
})
const layerOf = (perPrompt: PromptDiversity[], layer = 0, heads = 4): ComparableDiversity => ({
  layer,
  heads: Array.from({ length: heads }, (_, head) => ({ head, kvHead: head })),
  perPrompt,
})
const names = ['a', 'b', 'c', 'd', 'e', 'f']
/** Prompts that differ far more among themselves than the two runs do. */
const levels = [0.1, 0.9, 0.3, 0.6, 0.2, 0.8]
const baseline = [layerOf(names.map((name, index) => prompt(name, levels[index] ?? 0)))]
const shift = (index: number) => 0.02 + 0.001 * index
const candidate = [layerOf(names.map((name, index) => prompt(name, (levels[index] ?? 0) + shift(index))).reverse())]

describe('meanEstimate', () => {
  it('is the mean, with an interval around it from five values on', () => {
    const found = meanEstimate(levels)
    expect(found.value).toBeCloseTo(mean(levels), 12)
    expect(found.interval?.level).toBe(0.95)
    expect(found.interval?.low).toBeLessThan(found.value)
    expect(found.interval?.high).toBeGreaterThan(found.value)
    expect(meanEstimate(levels.slice(0, 4)).interval).toBeNull()
  })
  it('repeats for a seed', () => {
    expect(meanEstimate(levels, { seed: 3 })).toEqual(meanEstimate(levels, { seed: 3 }))
  })
})

describe('compareDiversity', () => {
  it('pairs prompts by text in any order, so that what a prompt does to both runs cancels', () => {
    const [row] = compareDiversity(baseline, candidate)
    expect(row?.difference?.value).toBeCloseTo(0.0225, 9)
    expect(row?.difference?.interval?.low).toBeGreaterThan(0.02)
    expect(row?.difference?.interval?.high).toBeLessThan(0.025)
    expect(row?.reasons).toEqual([])
  })
  it('turns its sign when the runs change places', () => {
    const [there] = compareDiversity(baseline, candidate)
    const [back] = compareDiversity(candidate, baseline)
    expect(back?.difference?.value).toBeCloseTo(-(there?.difference?.value ?? 0), 12)
  })
  it('says where the runs read other tokens of the same text, as what a model generated is its own', () => {
    const [before, after] = ['0a', '0b'].map((last) => [
      layerOf(names.map((name, index) => prompt(name, 0.5, { sequence: index < 2 ? last : '01' }))),
    ])
    expect(compareDiversity(before ?? [], after ?? [])[0]?.reasons).toEqual([
      'other tokens here in 2 of 6 shared prompts: the heads differ in what they read as well',
    ])
    expect(compareDiversity(before ?? [], baseline)[0]?.reasons).toEqual([])
  })
  it('says why there is no difference where no prompt is shared', () => {
    const other = [layerOf([prompt('x', 0.4), prompt('y', 0.5)])]
    expect(compareDiversity(baseline, other)).toEqual([
      { layer: 0, difference: null, reasons: ['the runs share no prompt: 6 in the baseline, 2 here'] },
    ])
  })
  it('gives the difference without interval under five shared prompts, and says so', () => {
    const other = [layerOf([prompt('a', 0.2), prompt('c', 0.4), prompt('z', 0.9)])]
    const [row] = compareDiversity(baseline, other)
    expect(row?.difference).toEqual({ value: expect.closeTo(0.1, 12), interval: null })
    expect(row?.reasons).toEqual([
      '2 shared prompts are too few for an interval, which takes 5',
      'only the 2 shared prompts count, of 6 in the baseline and 3 here',
    ])
  })
  it('says where another tokenizer or another number of heads stands beside the difference', () => {
    const other = [
      layerOf(
        names.map((name) => prompt(name, 0.5, { tokens: name === 'b' ? 31 : 20 })),
        0,
        32,
      ),
    ]
    const [row] = compareDiversity(baseline, other)
    expect(row?.difference).not.toBeNull()
    expect(row?.reasons).toEqual([
      'another number of tokens here in 1 of 6 shared prompts, and distances depend on length',
      'the means run over the pairs of 4 heads in the baseline and of 32 here',
    ])
  })
  it('compares what is asked for, or says which side lacks it', () => {
    const grouped = [layerOf(names.map((name) => prompt(name, 0.5, { withinGroups: 0.3, betweenGroups: 0.6 })))]
    const [between] = compareDiversity(baseline, grouped, { measure: 'betweenGroups' })
    expect(between?.difference?.value).toBeCloseTo(0.6 - mean(levels), 9)
    const [within] = compareDiversity(baseline, grouped, { measure: 'withinGroups' })
    expect(within?.reasons).toEqual(['the baseline has no such figure: no two of its heads share a K/V head'])
  })
  it('matches layers by number and names those that one side lacks', () => {
    const perPrompt = names.map((name) => prompt(name, 0.5))
    const rows = compareDiversity(
      [layerOf(perPrompt, 1), layerOf(perPrompt, 7)],
      [layerOf(perPrompt, 7), layerOf(perPrompt, 2)],
    )
    expect(rows.map(({ layer }) => layer)).toEqual([7, 2, 1])
    expect(rows[0]?.difference?.value).toBe(0)
    expect(rows[1]?.reasons).toEqual(['the baseline has no layer 2'])
    expect(rows[2]?.reasons).toEqual(['the candidate has no layer 1'])
  })
  it('pairs a text that a run has twice in order', () => {
    const twice = [layerOf([prompt('a', 0.1), prompt('a', 0.5)])]
    const again = [layerOf([prompt('a', 0.2), prompt('a', 0.6)])]
    const [row] = compareDiversity(twice, again)
    expect(row?.difference?.value).toBeCloseTo(0.1, 12)
    expect(row?.reasons).toEqual(['2 shared prompts are too few for an interval, which takes 5'])
  })
})
