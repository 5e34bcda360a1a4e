import { describe, expect, it } from 'vitest'
import {
  addBehaviours,
  type BehaviourName,
  behaviourNames,
  behaviourScores,
  headBehaviours,
  startBehaviours,
} from '../../../src/heads/behaviours.ts'
import { wholeMap } from '../../../src/heads/map-rows.ts'
import { pointingMap, randomMaps, rowOf, stacked, uniformMap } from './maps.ts'

/** "the cat sat on the cat mat the": 'the' at 0, 4, 7; 'cat' at 1, 5. */
const tokens = [10, 11, 12, 13, 10, 11, 14, 10]
const size = tokens.length
const score = (map: Float32Array, name: BehaviourName) => headBehaviours(wholeMap(map, 1, size), tokens)[name]?.[0]

describe('headBehaviours', () => {
  const perfect: Record<BehaviourName, (query: number) => number | null> = {
    'previous-token': (query) => (query === 0 ? null : query - 1),
    'first-token': () => 0,
    induction: (query) => ({ 4: 1, 5: 2, 7: 5 })[query] ?? null,
    'duplicate-token': (query) => ({ 4: 0, 5: 1, 7: 4 })[query] ?? null,
    local: (query) => query - (query % 3),
  }
  const never: Record<BehaviourName, (query: number) => number | null> = {
    'previous-token': (query) => query,
    'first-token': (query) => query,
    induction: (query) => (query === 7 ? 4 : 0),
    'duplicate-token': (query) => query,
    local: () => 0,
  }
  it.each(behaviourNames)('scores 1 for a head that is all %s and 0 for one that never is', (name) => {
    expect(score(pointingMap(size, perfect[name]), name)).toBe(1)
    expect(score(pointingMap(size, never[name]), name)).toBe(0)
  })
  it('counts every earlier occurrence, and only queries that have one', () => {
    const attentive = pointingMap(size, (query) => ({ 4: 1, 5: 3, 7: 1 })[query] ?? null)
    // Of the queries 4, 5 and 7, the first and the last look after an earlier occurrence; 5 does not.
    expect(score(attentive, 'induction')).toBeCloseTo(2 / 3, 12)
  })
  it('has no induction and no duplicate-token where no token repeats', () => {
    const found = headBehaviours(wholeMap(uniformMap(4), 1, 4), [1, 2, 3, 4])
    expect(found.induction).toBeNull()
    expect(found['duplicate-token']).toBeNull()
    expect(found['previous-token']).not.toBeNull()
  })
  it('has no induction where a token only doubles: what follows its double is the query itself', () => {
    const found = headBehaviours(wholeMap(uniformMap(4), 1, 4), [1, 2, 2, 3])
    expect(found.induction).toBeNull()
    expect(found['duplicate-token']).not.toBeNull()
  })
  it('has no local share where every query sees four keys at most', () => {
    expect(headBehaviours(wholeMap(uniformMap(4), 1, 4), [1, 2, 3, 4]).local).toBeNull()
    expect(headBehaviours(wholeMap(uniformMap(5), 1, 5), [1, 2, 3, 4, 5]).local?.[0]).toBeCloseTo(4 / 5, 6)
  })
  it('is TransformerLens\' "mul" score divided by the share of rows that count', () => {
    const maps = randomMaps(1, size, 3)
    let onDuplicates = 0
    for (let query = 0; query < size; query += 1) {
      for (const [key, p] of rowOf(maps, size, 0, query).entries()) {
        if (key !== query && tokens[key] === tokens[query]) onDuplicates += p
      }
    }
    const transformerLens = onDuplicates / size
    expect(score(maps, 'duplicate-token')).toBeCloseTo(transformerLens / (3 / size), 9)
  })
})

describe('behaviourScores', () => {
  it('gives beside each score what equal attention would score', () => {
    const sums = startBehaviours(2)
    addBehaviours(sums, wholeMap(stacked(uniformMap(size), randomMaps(1, size, 4)), 2, size), tokens)
    const scores = behaviourScores(sums)
    expect(scores.map(({ name }) => name)).toEqual([...behaviourNames])
    for (const { scores: byHead, uniform } of scores) expect(byHead[0]).toBeCloseTo(uniform, 6)
    expect(scores.find(({ name }) => name === 'duplicate-token')?.uniform).toBeCloseTo((1 / 5 + 1 / 6 + 2 / 8) / 3, 12)
  })
  it('holds a head with a window to the keys within it, and counts no row whose keys lie behind it', () => {
    const window = 3
    const within = (query: number) => Math.min(query + 1, window)
    const map = new Float32Array(size * size)
    for (let query = 0; query < size; query += 1) {
      map.fill(1 / within(query), query * size + query + 1 - within(query), query * size + query + 1)
    }
    const sums = startBehaviours(1)
    addBehaviours(sums, wholeMap(map, 1, size), tokens, window)
    const scores = new Map(behaviourScores(sums).map(({ name, ...found }) => [name, found]))
    for (const { scores: byHead, uniform } of scores.values()) expect(byHead[0]).toBeCloseTo(uniform, 6)
    expect(scores.get('previous-token')?.uniform).toBeCloseTo((1 / 2 + 6 * (1 / 3)) / 7, 12)
    expect(scores.get('first-token')?.uniform).toBeCloseTo((1 / 2 + 1 / 3) / 2, 12)
    // Tokens repeat after three or more, and four keys are never all that is seen.
    expect([...scores.keys()]).toEqual(['previous-token', 'first-token', 'induction'])
    expect(scores.get('induction')?.uniform).toBeCloseTo(1 / 3, 12)
  })
  it('is the same of rows that come in pieces', () => {
    const map = randomMaps(1, size, 5)
    const whole = startBehaviours(1)
    addBehaviours(whole, wholeMap(map, 1, size), tokens)
    const pieces = startBehaviours(1)
    for (const [from, to] of [
      [0, 5],
      [5, 8],
    ] as const) {
      const probabilities = map.slice(from * size, to * size)
      const rows = { probabilities, heads: 1, firstQuery: from, queries: to - from, keys: size }
      addBehaviours(pieces, rows, tokens.slice(0, to))
    }
    expect(behaviourScores(pieces)).toEqual(behaviourScores(whole))
  })
})
