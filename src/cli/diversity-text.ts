import type { Style } from '../render/style.ts'
import { tableToText, wrap } from '../render/table.ts'
import type { Diversity, Estimate } from './attention-run.ts'

const behaviourMeanings: Record<string, string> = {
  'previous-token': 'the token before',
  'first-token': 'the first token',
  'duplicate-token': 'earlier copies of the token',
  induction: 'what followed earlier copies',
  local: 'itself and the 3 before',
}

/** `0.412 [0.380, 0.441]`. */
export function estimateText({ value, interval }: Estimate, digits = 3): string {
  const range = interval === null ? '' : ` [${interval.low.toFixed(digits)}, ${interval.high.toFixed(digits)}]`
  return `${value.toFixed(digits)}${range}`
}

/** How far apart a layer's heads look, beside what that is to be compared with. */
export function diversityTable(of: Diversity, prompts: number, style: Style): string {
  const rows: [string, Estimate | null][] = [
    ['all pairs of heads', of.all],
    ['  that read the same K/V head', of.withinGroups],
    ['  that read different ones', of.betweenGroups],
    ['  different - same', of.betweenMinusWithin],
    ['rows shuffled', of.shuffledBaseline],
    ['random weights', of.randomWeightsBaseline],
    ['position alone (maps averaged over prompts)', of.positionBaseline],
    ['  the same rows, not averaged', of.atPositions],
    ['ALiBi alone', of.alibiBaseline],
  ]
  const table = tableToText(
    {
      columns: [{ title: `layer ${of.layer}` }, { title: 'distance [95 %]' }],
      rows: rows.flatMap(([name, estimate]) => (estimate === null ? [] : [[name, estimateText(estimate)]])),
    },
    { head: style.bold, width: 80 },
  )
  const over = prompts === 1 ? 'one prompt' : `mean over ${prompts} prompts`
  const caption = `Jensen-Shannon distance of two heads' maps, ${over}; 0: the same map, 1: no key in common`
  return [table, ...wrap(caption, 80).map(style.dim)].join('\n')
}

/** For each behaviour the head that does it most, beside what equal attention to all keys would score. */
export function behaviourTable({ layer, behaviours, heads, entropy }: Diversity, style: Style): string {
  const names = [...new Set(behaviours.map(({ name }) => name))]
  const strongest = names.flatMap((name) => {
    const ofName = behaviours.filter((behaviour) => behaviour.name === name)
    const [top] = ofName.toSorted((a, b) => b.score.value - a.score.value)
    return top === undefined ? [] : [top]
  })
  const bits = entropy.map(({ value }, index) => ({ value, head: heads[index] ?? index }))
  const sorted = bits.toSorted((a, b) => a.value - b.value)
  const [sharpest, broadest] = [sorted.at(0), sorted.at(-1)]
  const table = tableToText(
    {
      columns: [
        { title: `layer ${layer}, attention to` },
        { title: 'strongest head', align: 'right' },
        { title: 'share [95 %]' },
        { title: 'uniform', align: 'right' },
      ],
      rows: strongest.map(({ name, head, score, uniform }) => [
        behaviourMeanings[name] === undefined ? name : `${behaviourMeanings[name]} (${name})`,
        `${head}`,
        estimateText(score, 2),
        uniform.toFixed(2),
      ]),
    },
    { head: style.bold, width: 80 },
  )
  const entropies =
    sharpest === undefined || broadest === undefined
      ? []
      : [
          style.dim(
            `entropy of a row: ${sharpest.value.toFixed(2)} bits (head ${sharpest.head}) to ${broadest.value.toFixed(2)} (head ${broadest.head})`,
          ),
        ]
  return [table, ...entropies].join('\n')
}

/**
 * What a layer's distances say; each sentence only where an interval bears it.
 * @param latent the model's heads read a latent (MLA), of which every head makes its own K and V
 */
export function concludeDiversity(of: Diversity, latent = false): string[] {
  return [againstBaselines(of), sharingSentence(of, latent), positionSentence(of)].filter((sentence) => sentence !== '')
}

function againstBaselines({ layer, all, shuffledBaseline, randomWeightsBaseline }: Diversity): string {
  const subject = `Layer ${layer}: two heads are ${all.value.toFixed(2)} apart on average`
  if (all.interval === null) {
    return `${subject}, without an interval: too few prompts to set it against anything.`
  }
  const parts: string[] = []
  if (shuffledBaseline !== null) {
    const [side, figure] = [sideOf(all, shuffledBaseline), shuffledBaseline.value.toFixed(2)]
    if (side === null) parts.push(`not to be told from shuffled rows (${figure})`)
    else if (side === 'below') parts.push(`less than over shuffled rows (${figure}), so they look at common keys`)
    else parts.push(`more than over shuffled rows (${figure}), so they avoid each other's keys`)
  }
  if (randomWeightsBaseline !== null) {
    const [side, figure] = [sideOf(all, randomWeightsBaseline), randomWeightsBaseline.value.toFixed(2)]
    if (side === null) parts.push(`not to be told from random weights (${figure})`)
    else parts.push(`${side === 'above' ? 'more' : 'less'} than with random weights (${figure})`)
  }
  return `${[subject, ...parts].join('; ')}.`
}

function sharingSentence({ withinGroups, betweenGroups, betweenMinusWithin }: Diversity, latent: boolean): string {
  if (latent) return 'All heads read the one latent; each makes a K and a V of its own of it.'
  if (withinGroups === null)
    return 'Each head has a K and a V of its own: nothing is shared whose effect could be seen.'
  if (betweenGroups === null)
    return 'All heads read the one K and V, and still have maps of their own: each has its own queries.'
  const figures = `${withinGroups.value.toFixed(2)} within a group, ${betweenGroups.value.toFixed(2)} between groups`
  const interval = betweenMinusWithin?.interval ?? null
  if (interval === null) return `Heads that share K and V against those that do not: ${figures}, without an interval.`
  if (interval.low > 0) return `Heads that share K and V look more alike than heads that do not (${figures}).`
  if (interval.high < 0) return `Heads that share K and V look less alike than heads that do not (${figures}).`
  return `Heads that share K and V look no more alike than others, as far as these prompts tell (${figures}).`
}

function positionSentence({ positionBaseline, atPositions }: Diversity): string {
  if (positionBaseline?.interval == null || atPositions?.interval == null) return ''
  const side = sideOf(positionBaseline, atPositions)
  const figures = `${positionBaseline.value.toFixed(2)} of averaged maps beside ${atPositions.value.toFixed(2)}`
  if (side === 'below') return `The text sets heads apart by more than their positions do (${figures}).`
  return `Where heads look by position explains what sets them apart, as far as these prompts tell (${figures}).`
}

function sideOf(one: Estimate, other: Estimate | null): 'below' | 'above' | null {
  if (other === null || one.interval === null || other.interval === null) return null
  if (one.interval.high < other.interval.low) return 'below'
  return one.interval.low > other.interval.high ? 'above' : null
}
