import { type BehaviourScores, behaviourNames } from './behaviours.ts'
import type { ComparedHead, HeadBehaviour, LayerDiversity, PromptDiversity } from './diversity.ts'
import { type Estimate, meanEstimate } from './estimate.ts'
import { toMatrix } from './js-distance.ts'
import { type Profiles, positionDistance } from './position-baseline.ts'

/** What a layer has gathered once all its prompts are closed; lists run over prompts. */
export interface LayerTotals {
  layer: number
  /** [pairs], summed over prompts */
  distances: Float64Array
  perPrompt: PromptDiversity[]
  /** [prompts][heads], bits */
  entropies: Float64Array[]
  behaviours: BehaviourScores[][]
}

/** Means over prompts and their intervals. The same seed everywhere: each figure sees the same resamples of prompts. */
export function summarizeLayer(
  totals: LayerTotals,
  heads: readonly ComparedHead[],
  profiles: Profiles | null,
  alibiDistance: number | null,
  seed: number,
): LayerDiversity {
  const { perPrompt } = totals
  const matrix = toMatrix(totals.distances, heads.length).map((sum) => sum / perPrompt.length)
  const estimate = (values: readonly (number | null)[]) => estimateOf(values, seed)
  const positionBaseline = profiles === null ? null : positionDistance(profiles, seed)
  return {
    layer: totals.layer,
    heads: [...heads],
    jsDistance: heads.map((_, head) => [...matrix.subarray(head * heads.length, (head + 1) * heads.length)]),
    all: meanEstimate(
      perPrompt.map(({ all }) => all),
      { seed },
    ),
    withinGroups: estimate(perPrompt.map(({ withinGroups }) => withinGroups)),
    betweenGroups: estimate(perPrompt.map(({ betweenGroups }) => betweenGroups)),
    betweenMinusWithin: estimate(
      perPrompt.map(({ withinGroups, betweenGroups }) =>
        withinGroups === null || betweenGroups === null ? null : betweenGroups - withinGroups,
      ),
    ),
    shuffledBaseline: estimate(perPrompt.map(({ shuffledBaseline }) => shuffledBaseline)),
    positionBaseline,
    positionTokens: positionBaseline === null ? null : (profiles?.tokens ?? null),
    positionPrompts: positionBaseline === null ? null : (profiles?.prompts ?? null),
    atPositions:
      positionBaseline === null
        ? null
        : estimate(perPrompt.slice(0, profiles?.prompts).map(({ atPositions }) => atPositions)),
    alibiBaseline: alibiDistance === null ? null : { value: alibiDistance, interval: null },
    entropy: heads.map((_, head) =>
      meanEstimate(
        totals.entropies.map((entropies) => entropies[head] ?? 0),
        { seed },
      ),
    ),
    behaviours: heads.flatMap(({ head }, index) => summarizeBehaviours(totals.behaviours, head, index, seed)),
    perPrompt,
  }
}

/** The mean of what is there; null where nothing is. */
function estimateOf(values: readonly (number | null)[], seed: number): Estimate | null {
  const known = values.filter((value) => value !== null)
  return known.length === 0 ? null : meanEstimate(known, { seed })
}

function summarizeBehaviours(
  prompts: readonly BehaviourScores[][],
  head: number,
  index: number,
  seed: number,
): HeadBehaviour[] {
  return behaviourNames.flatMap((name) => {
    const found = prompts.flatMap((scores) => scores.find((one) => one.name === name) ?? [])
    const score = estimateOf(
      found.map(({ scores }) => scores[index] ?? 0),
      seed,
    )
    const uniform = estimateOf(
      found.map((one) => one.uniform),
      seed,
    )
    return score === null || uniform === null ? [] : [{ head, name, score, uniform: uniform.value }]
  })
}
