import type { MapRows } from './map-rows.ts'

export const behaviourNames = ['previous-token', 'first-token', 'induction', 'duplicate-token', 'local'] as const
export type BehaviourName = (typeof behaviourNames)[number]

/** Keys that count as local: the query itself and the three before it. */
const localWindow = 4

/** Sums over the rows of one prompt in which a behaviour has a key to look at. */
export interface BehaviourSums {
  heads: number
  /** [behaviours]: rows that count */
  rows: Float64Array
  /** [behaviours]: attention that a head with equal weights on all its keys would give */
  uniform: Float64Array
  /** [heads, behaviours]: attention given */
  given: Float64Array
}

export function startBehaviours(heads: number): BehaviourSums {
  return {
    heads,
    rows: new Float64Array(behaviourNames.length),
    uniform: new Float64Array(behaviourNames.length),
    given: new Float64Array(heads * behaviourNames.length),
  }
}

/** For each position the last one before it that holds the same token, or -1. */
function previousOccurrences(tokens: ArrayLike<number>): Int32Array {
  const last = new Map<number, number>()
  return Int32Array.from(tokens, (token, position) => {
    const before = last.get(token) ?? -1
    last.set(token, position)
    return before
  })
}

/** The keys from `from` on that each behaviour looks at from `query`; none where the row does not count. */
function targetKeys(query: number, from: number, previous: Int32Array): Record<BehaviourName, number[]> {
  const duplicates: number[] = []
  for (let key = previous[query] ?? -1; key >= 0; key = previous[key] ?? -1) duplicates.push(key)
  const seen = (keys: number[]) => keys.filter((key) => key >= from && key <= query)
  return {
    'previous-token': query >= 1 ? seen([query - 1]) : [],
    'first-token': query >= 1 ? seen([0]) : [],
    induction: seen(duplicates.map((key) => key + 1).filter((key) => key < query)),
    'duplicate-token': seen(duplicates),
    local: query - from >= localWindow ? Array.from({ length: localWindow }, (_, back) => query - back) : [],
  }
}

/**
 * Adds rows of one prompt.
 * @param tokens ids from position 0, at least to the last query of the rows; what follows changes nothing
 * @param window keys that a query sees, itself included; null where it sees all before it. Keys out of it are nobody's to
 * look at: a row whose keys all are does not count, and equal attention goes to those within
 */
export function addBehaviours(
  into: BehaviourSums,
  rows: MapRows,
  tokens: ArrayLike<number>,
  window: number | null = null,
): void {
  const previous = previousOccurrences(tokens)
  const names = behaviourNames.length
  for (let row = 0; row < rows.queries; row += 1) {
    const query = rows.firstQuery + row
    const from = window === null ? 0 : Math.max(0, query + 1 - window)
    const targets = targetKeys(query, from, previous)
    for (let name = 0; name < names; name += 1) {
      const keys = targets[behaviourNames[name] ?? 'local']
      if (keys.length === 0) continue
      into.rows[name] = (into.rows[name] ?? 0) + 1
      into.uniform[name] = (into.uniform[name] ?? 0) + keys.length / (query + 1 - from)
      for (let head = 0; head < into.heads; head += 1) {
        const start = (head * rows.queries + row) * rows.keys
        let given = 0
        for (const key of keys) given += rows.probabilities[start + key] ?? 0
        into.given[head * names + name] = (into.given[head * names + name] ?? 0) + given
      }
    }
  }
}

export interface BehaviourScores {
  name: BehaviourName
  /** [heads], each 0 to 1 */
  scores: number[]
  /** what equal attention to all keys that are seen would score on the same rows */
  uniform: number
}

/** The behaviours that the rows added could show, in the order of `behaviourNames`; the others are left out. */
export function behaviourScores({ heads, rows, uniform, given }: BehaviourSums): BehaviourScores[] {
  return behaviourNames.flatMap((name, index) => {
    const count = rows[index] ?? 0
    if (count === 0) return []
    const scores = Array.from({ length: heads }, (_, head) =>
      Math.min(1, (given[head * behaviourNames.length + index] ?? 0) / count),
    )
    return [{ name, scores, uniform: (uniform[index] ?? 0) / count }]
  })
}

/**
 * What each head does on one prompt, as the mean share of attention that it gives to the keys a behaviour names, over
 * the queries for which there are such keys:
 * - previous-token: key i - 1 (a positional head of Voita et al. 2019, who ask for the maximum there in 90 % of rows).
 * - first-token: key 0, the attention sink (Xiao et al. 2023, "Efficient Streaming Language Models with Attention
 *   Sinks"; Clark et al. 2019 found the same on separators).
 * - duplicate-token: earlier keys with the query's own token (Wang et al. 2022, "Interpretability in the Wild").
 * - induction: keys right after an earlier occurrence of the query's token (prefix matching of Olsson et al. 2022,
 *   "In-context Learning and Induction Heads"); the query itself does not count, though it follows its double in "a a".
 * - local: the query and the three keys before it, where it sees others too: from query 4 on.
 *
 * The patterns are those of TransformerLens' head_detector. Its "mul" score divides by all rows; here rows without a
 * target do not count, so that a prompt with few repeats does not make an induction head look weak: its score is ours
 * times the share of rows that count. Behaviours overlap: at query 1 the previous token is the first.
 * @param maps whole maps [heads, size, size]
 * @param tokens [size] ids
 * @returns by name; null where no query has such keys: no token repeats, or the prompt is too short
 */
export function headBehaviours(maps: MapRows, tokens: ArrayLike<number>): Record<BehaviourName, number[] | null> {
  const sums = startBehaviours(maps.heads)
  addBehaviours(sums, maps, tokens)
  const found = new Map(behaviourScores(sums).map(({ name, scores }) => [name, scores]))
  const scoresOf = (name: BehaviourName) => found.get(name) ?? null
  return {
    'previous-token': scoresOf('previous-token'),
    'first-token': scoresOf('first-token'),
    induction: scoresOf('induction'),
    'duplicate-token': scoresOf('duplicate-token'),
    local: scoresOf('local'),
  }
}
