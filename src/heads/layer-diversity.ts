import { AppError } from '../errors.ts'
import { type Random, seededRandom } from '../stats/random.ts'
import { mean } from '../stats/summary.ts'
import { alibiDistances } from './alibi-baseline.ts'
import { addBehaviours, type BehaviourSums, behaviourScores, startBehaviours } from './behaviours.ts'
import { type DiversityOptions, fewestTokens, type LayerDiversity, type PromptDiversity } from './diversity.ts'
import { addEntropies } from './entropy.ts'
import { addDivergences, type Divergences, meanDistances, pairDistances, startDivergences } from './js-distance.ts'
import { checkRows, headStride, type MapRows, rowStart } from './map-rows.ts'
import { keepProfile, type Profiles, profileExtent, startProfiles } from './position-baseline.ts'
import { addShuffledDivergences } from './shuffle-baseline.ts'
import { type LayerTotals, summarizeLayer } from './summarize-diversity.ts'

export interface DiversityAccumulator {
  /**
   * Takes rows of one layer's maps [heads, queries, keys] for one prompt and keeps sums only: the array may be reused
   * as soon as this returns. A layer gets its prompts in rising order and the rows of a prompt in rising order, whole or
   * in pieces; layers may come in any order.
   * @param layer one of the options' layers
   * @param tokens the prompt's ids from position 0, at least as far as the rows' last query
   * @throws AppError CHECKPOINT_INVALID where probabilities are not numbers, INTERNAL where rows come out of order or
   * are no distributions
   */
  addRows(layer: number, prompt: number, rows: MapRows, tokens: ArrayLike<number>): void
  /** One result a layer, in the options' order. Ends the accumulator. */
  finish(): LayerDiversity[]
}

/** Sums of the prompt that a layer is at. */
interface OpenPrompt {
  index: number
  /** rows taken: the next has this query */
  tokens: number
  /** hash of the ids of the rows taken */
  sequence: number
  divergences: Divergences
  shuffled: Divergences | null
  random: Random
  entropies: Float64Array
  behaviours: BehaviourSums
  /** mean distance over the rows that the position profile covers */
  atPositions: number | null
}

interface Layer extends LayerTotals {
  layer: number
  open: OpenPrompt | null
  profiles: Profiles | null
  /** prompts done or passed over */
  next: number
}

/**
 * Why these heads and prompts cannot be compared, in words; null where they can.
 * @param lengths tokens of each prompt
 */
export function whyNoDiversity(heads: number, lengths: readonly number[]): string | null {
  if (heads < 2) return `diversity compares heads, and there is ${heads === 1 ? 'one head' : 'none'}`
  if (lengths.every((length) => length < fewestTokens)) {
    return `diversity takes a prompt of at least ${fewestTokens} tokens: the first has one key to look at`
  }
  return null
}

/**
 * Head diversity of layers, fed piece by piece. Memory beyond the rows at hand: a layer keeps three numbers a pair of
 * heads, some ten a head and prompt, and its position profiles, which take 64 MiB over all layers at most.
 * @throws AppError VALIDATION_FAILED where `whyNoDiversity` has a reason
 */
export function startDiversity(options: DiversityOptions): DiversityAccumulator {
  const heads = options.heads.length
  const usable = options.prompts.map(({ tokens }) => tokens >= fewestTokens)
  const lengths = options.prompts.map(({ tokens }) => tokens)
  const reason = whyNoDiversity(heads, lengths)
  if (reason !== null) throw new AppError('VALIDATION_FAILED', reason, 'Ask for maps without diversity.')
  const { baselines = true, seed = 0 } = options
  const extent = profileExtent(
    options.layers.length,
    heads,
    lengths.filter((_, prompt) => usable[prompt]),
  )
  /** a prompt's place among those that count */
  const places = usable.map((_, prompt) => usable.slice(0, prompt).filter(Boolean).length)
  const layers = new Map(
    options.layers.map((layer) => [layer, startLayer(layer, heads, baselines ? startProfiles(heads, extent) : null)]),
  )
  const kvHeads = options.heads.map(({ kvHead }) => kvHead)

  const close = (state: Layer) => {
    if (state.open === null) return
    state.perPrompt.push(closePrompt(state, state.open, options.prompts[state.open.index]?.key ?? '', kvHeads))
    state.next = state.open.index + 1
    state.open = null
  }
  const open = (state: Layer, prompt: number): OpenPrompt => {
    if (state.open?.index === prompt) return state.open
    close(state)
    if (prompt < state.next) throw new AppError('INTERNAL', `layer ${state.layer}: prompt ${prompt} came twice`)
    state.open = startPrompt(prompt, heads, baselines, streamSeed(seed, state.layer, prompt))
    return state.open
  }

  return {
    addRows(layer, prompt, rows, tokens) {
      const state = layers.get(layer)
      if (state === undefined || usable[prompt] === undefined || rows.heads !== heads) {
        throw new AppError(
          'INTERNAL',
          `rows of layer ${layer}, prompt ${prompt}, ${rows.heads} heads were not announced`,
        )
      }
      if (!usable[prompt]) return
      const where = `layer ${layer}, prompt ${prompt}`
      checkRows(rows, where)
      const current = open(state, prompt)
      if (rows.firstQuery !== current.tokens) {
        throw new AppError('INTERNAL', `${where}: rows from query ${rows.firstQuery} came after ${current.tokens} rows`)
      }
      takeRows(current, rows, tokens, extent.tokens, options.window?.(layer) ?? null)
      if (state.profiles !== null) keepProfile(state.profiles, places[prompt] ?? 0, rows)
    },
    finish() {
      const alibi = options.alibiSlopes ?? null
      const distances = new Map<string, number>()
      return [...layers.values()].map((state) => {
        close(state)
        if (state.perPrompt.length !== usable.filter(Boolean).length) {
          throw new AppError('INTERNAL', `layer ${state.layer} has rows of ${state.perPrompt.length} prompts only`)
        }
        const lengthsSeen = state.perPrompt.map(({ tokens }) => tokens)
        const key = lengthsSeen.join()
        const alibiDistance = alibi === null ? null : (distances.get(key) ?? mean(alibiDistances(alibi, lengthsSeen)))
        if (alibiDistance !== null) distances.set(key, alibiDistance)
        return summarizeLayer(state, options.heads, state.profiles, alibiDistance, seed)
      })
    },
  }
}

function startLayer(layer: number, heads: number, profiles: Profiles | null): Layer {
  return {
    layer,
    open: null,
    profiles,
    next: 0,
    distances: new Float64Array((heads * (heads - 1)) / 2),
    perPrompt: [],
    entropies: [],
    behaviours: [],
  }
}

function startPrompt(index: number, heads: number, baselines: boolean, seed: number): OpenPrompt {
  return {
    index,
    tokens: 0,
    sequence: hashStart,
    divergences: startDivergences(heads),
    shuffled: baselines ? startDivergences(heads) : null,
    random: seededRandom(seed),
    entropies: new Float64Array(heads),
    behaviours: startBehaviours(heads),
    atPositions: null,
  }
}

/** A stream of its own for each layer and prompt, so that neither order nor selection changes what a layer draws. */
function streamSeed(seed: number, layer: number, prompt: number): number {
  return (Math.imul(seed, 0x9e3779b1) + Math.imul(layer, 0x85ebca6b) + Math.imul(prompt, 0xc2b2ae35)) >>> 0
}

function takeRows(
  into: OpenPrompt,
  rows: MapRows,
  tokens: ArrayLike<number>,
  positions: number,
  window: number | null,
): void {
  const end = rows.firstQuery + rows.queries
  for (let query = Math.max(1, rows.firstQuery); query < end; query += 1) {
    addDivergences(into.divergences, rows.probabilities, rowStart(rows, query), headStride(rows), query + 1)
    if (query + 1 === positions) into.atPositions = mean(pairDistances(into.divergences))
  }
  if (into.shuffled !== null) addShuffledDivergences(into.shuffled, rows, into.random, window)
  addEntropies(into.entropies, rows)
  addBehaviours(into.behaviours, rows, tokens, window)
  for (let position = rows.firstQuery; position < end; position += 1) {
    into.sequence = hashed(into.sequence, tokens[position] ?? 0)
  }
  into.tokens = end
}

/** 32-bit FNV-1a over the four bytes of each id (draft-eastlake-fnv, section 2). */
const hashStart = 0x811c9dc5
function hashed(hash: number, id: number): number {
  let next = hash
  for (let shift = 0; shift < 32; shift += 8) next = Math.imul(next ^ ((id >>> shift) & 0xff), 0x01000193)
  return next >>> 0
}

function closePrompt(layer: Layer, prompt: OpenPrompt, key: string, kvHeads: readonly number[]): PromptDiversity {
  if (prompt.tokens < fewestTokens) {
    throw new AppError('INTERNAL', `layer ${layer.layer}, prompt ${prompt.index} ended after ${prompt.tokens} rows`)
  }
  const distances = pairDistances(prompt.divergences)
  for (let pair = 0; pair < distances.length; pair += 1) {
    layer.distances[pair] = (layer.distances[pair] ?? 0) + (distances[pair] ?? 0)
  }
  layer.entropies.push(prompt.entropies.map((sum) => Math.max(0, sum) / (prompt.tokens - 1)))
  layer.behaviours.push(behaviourScores(prompt.behaviours))
  return {
    key,
    tokens: prompt.tokens,
    sequence: prompt.sequence.toString(16).padStart(8, '0'),
    ...meanDistances(distances, kvHeads),
    shuffledBaseline: prompt.shuffled === null ? null : mean(pairDistances(prompt.shuffled)),
    atPositions: prompt.atPositions,
  }
}
