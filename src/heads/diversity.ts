import type { BehaviourName } from './behaviours.ts'
import type { Estimate } from './estimate.ts'

/** A query head that takes part, and the K/V head that it reads: itself where each has its own (MHA, MLA). */
export interface ComparedHead {
  head: number
  kvHead: number
}

/** The second token is the first with a choice of keys. */
export const fewestTokens = 2

export interface DiversityOptions {
  layers: readonly number[]
  /** as the maps' first axis has them; at least two */
  heads: readonly ComparedHead[]
  /**
   * `key` names a prompt's text, so that another run of the same text can be paired with it; `tokens` is its length
   * before anything is generated. Prompts under two tokens are passed over.
   */
  prompts: readonly { key: string; tokens: number }[]
  /** false: no shuffled rows and no position profiles */
  baselines?: boolean
  /** of the heads compared, in the softmax's own unit (see `alibiDistances`); null or absent where there is no ALiBi */
  alibiSlopes?: ArrayLike<number> | null
  /** keys that a query of the layer sees, itself included; null, or no function: all before it */
  window?: (layer: number) => number | null
  seed?: number
}

/** What one prompt says of one layer: distances in [0, 1], means over pairs of heads. */
export interface PromptDiversity {
  key: string
  /** of the map, what was generated included */
  tokens: number
  /** tells sequences of ids apart: another tokenizer, or a model that generates, makes another one of the same text */
  sequence?: string | null
  all: number
  withinGroups: number | null
  betweenGroups: number | null
  shuffledBaseline: number | null
  /** `all` over the rows that the position profile covers */
  atPositions: number | null
}

export interface HeadBehaviour {
  head: number
  name: BehaviourName
  /** share of attention, 0 to 1: mean over the prompts that have such keys */
  score: Estimate
  /** what equal attention to all keys would score on the same rows */
  uniform: number
}

/** Head diversity of one layer over a set of prompts. Plain JSON. */
export interface LayerDiversity {
  layer: number
  /** the heads compared: the order of every matrix and list */
  heads: ComparedHead[]
  /** JS distance of each pair of heads, [heads][heads]: mean over prompts */
  jsDistance: number[][]
  /** mean over all pairs */
  all: Estimate
  /** null where no two heads read the same K and V (MHA) */
  withinGroups: Estimate | null
  /** null where all heads read the same K and V (MQA) */
  betweenGroups: Estimate | null
  /** between minus within, prompt by prompt: whether heads that share K and V see more alike */
  betweenMinusWithin: Estimate | null
  shuffledBaseline: Estimate | null
  /** distance of position profiles; null without baselines, or with fewer than two prompts */
  positionBaseline: Estimate | null
  /** rows, and prompts, that the position profiles cover */
  positionTokens: number | null
  positionPrompts: number | null
  /** `all` over the very rows and prompts of `positionBaseline`: compare it with this, for distances depend on length */
  atPositions: Estimate | null
  /** heads that know nothing but ALiBi's bias, at the prompts' lengths; exact, so no interval */
  alibiBaseline: Estimate | null
  /** mean row entropy in bits, in the order of `heads` */
  entropy: Estimate[]
  behaviours: HeadBehaviour[]
  perPrompt: PromptDiversity[]
}
