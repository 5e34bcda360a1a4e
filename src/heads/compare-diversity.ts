import { fewestForInterval } from '../stats/bootstrap.ts'
import type { ComparedHead, PromptDiversity } from './diversity.ts'
import { type Estimate, meanEstimate } from './estimate.ts'

/** What a comparison needs to know of a layer; more fields do no harm. */
export interface ComparableDiversity {
  layer: number
  heads: readonly ComparedHead[]
  perPrompt: readonly PromptDiversity[]
}

export type DiversityMeasure = 'all' | 'withinGroups' | 'betweenGroups' | 'shuffledBaseline'

export interface DiversityDifference {
  layer: number
  /** candidate minus baseline, mean over the prompts that both have; null where none is possible */
  difference: Estimate | null
  /** why there is no difference or no interval, and what else differs than the model */
  reasons: string[]
}

/**
 * Difference of two runs' mean JS distance, layer by layer. Paired: each prompt that both runs have gives one
 * difference, so that what a prompt does to any model cancels, and the prompts are resampled. Layers are matched by
 * number, in the candidate's order, then those that only the baseline has.
 */
export function compareDiversity(
  baseline: readonly ComparableDiversity[],
  candidate: readonly ComparableDiversity[],
  { measure = 'all', seed = 0 }: { measure?: DiversityMeasure; seed?: number } = {},
): DiversityDifference[] {
  const left = new Map(baseline.map((layer) => [layer.layer, layer]))
  const rows = candidate.map((after) => {
    const before = left.get(after.layer)
    left.delete(after.layer)
    return before === undefined ? alone(after.layer, 'baseline') : compareLayer(before, after, measure, seed)
  })
  return [...rows, ...[...left.keys()].map((layer) => alone(layer, 'candidate'))]
}

function alone(layer: number, side: string): DiversityDifference {
  return { layer, difference: null, reasons: [`the ${side} has no layer ${layer}`] }
}

function compareLayer(
  before: ComparableDiversity,
  after: ComparableDiversity,
  measure: DiversityMeasure,
  seed: number,
): DiversityDifference {
  const pairs = pairPrompts(before.perPrompt, after.perPrompt)
  const { layer } = after
  if (pairs.length === 0) {
    const reason = `the runs share no prompt: ${before.perPrompt.length} in the baseline, ${after.perPrompt.length} here`
    return { layer, difference: null, reasons: [reason] }
  }
  const differences = pairs.flatMap(([one, other]) => {
    const [own, its] = [one[measure], other[measure]]
    return own === null || its === null ? [] : [its - own]
  })
  if (differences.length === 0) return { layer, difference: null, reasons: [whyUnmeasured(pairs, measure)] }
  const reasons = [
    ...fewPrompts(differences.length),
    ...leftOut(before, after, pairs.length),
    ...otherLengths(pairs),
    ...otherTokens(pairs),
    ...otherHeads(before, after),
  ]
  return { layer, difference: meanEstimate(differences, { seed }), reasons }
}

type Pair = readonly [PromptDiversity, PromptDiversity]

/** By key, each prompt once: a text that a run has twice meets its first and second partner in order. */
function pairPrompts(before: readonly PromptDiversity[], after: readonly PromptDiversity[]): Pair[] {
  const free = [...before]
  return after.flatMap((other) => {
    const place = free.findIndex(({ key }) => key === other.key)
    return free.splice(place, place < 0 ? 0 : 1).map((one): Pair => [one, other])
  })
}

function whyUnmeasured(pairs: readonly Pair[], measure: DiversityMeasure): string {
  const side = pairs.every(([one]) => one[measure] === null) ? 'baseline' : 'candidate'
  const why = {
    all: 'no heads were compared',
    withinGroups: 'no two of its heads share a K/V head',
    betweenGroups: 'all its heads share one K/V head',
    shuffledBaseline: 'it was run without baselines',
  }
  return `the ${side} has no such figure: ${why[measure]}`
}

function fewPrompts(count: number): string[] {
  if (count >= fewestForInterval) return []
  return [
    `${count} shared prompt${count === 1 ? ' is' : 's are'} too few for an interval, which takes ${fewestForInterval}`,
  ]
}

function leftOut(before: ComparableDiversity, after: ComparableDiversity, shared: number): string[] {
  const [own, its] = [before.perPrompt.length, after.perPrompt.length]
  return own === shared && its === shared
    ? []
    : [`only the ${shared} shared prompts count, of ${own} in the baseline and ${its} here`]
}

function otherLengths(pairs: readonly Pair[]): string[] {
  const other = pairs.filter(([one, two]) => one.tokens !== two.tokens).length
  return other === 0
    ? []
    : [`another number of tokens here in ${other} of ${pairs.length} shared prompts, and distances depend on length`]
}

/** Of equal length: what another tokenizer made of the text, or what another model generated after it. */
function otherTokens(pairs: readonly Pair[]): string[] {
  const other = pairs.filter(([one, two]) => {
    const [own, its] = [one.sequence ?? null, two.sequence ?? null]
    return one.tokens === two.tokens && own !== null && its !== null && own !== its
  }).length
  return other === 0
    ? []
    : [`other tokens here in ${other} of ${pairs.length} shared prompts: the heads differ in what they read as well`]
}

function otherHeads(before: ComparableDiversity, after: ComparableDiversity): string[] {
  const [own, its] = [before.heads.length, after.heads.length]
  return own === its ? [] : [`the means run over the pairs of ${own} heads in the baseline and of ${its} here`]
}
