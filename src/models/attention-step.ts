import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add, and, concat, expand, greater, lessOrEqual, range, reshape, sizeOf, subtract, where } from '../onnx/ops.ts'
import type { AttentionStep } from './attention.ts'
import { maskedScore } from './kv-cache.ts'

/** Inputs of every decoder beside those of the cache. B batch, S new tokens, P cached rows. */
export const inputNames = {
  tokens: 'input_ids', // [B, S] int64
  positions: 'position_ids', // [S] int64
  cachedMask: 'cached_mask', // [1, 1, 1, P]
  causalMask: 'causal_mask', // [1, 1, S, S]
} as const

/** The input with the positions that the rows of a ring hold, int64 [R]. */
export function ringPositionsName(window: number): string {
  return `ring_positions/${window}`
}

/** The name of the dimension that counts a layer's cached rows. */
export function cachedRowsOf(window: number | null): string {
  return window === null ? 'P' : `R${window}`
}

/** What the layers of a step share: the same for all whose window is the same, and made once. */
export interface AttentionSteps {
  /** @param window null: layers that look back at everything */
  of(window: number | null): AttentionStep
}

export function attentionSteps(graph: GraphBuilder): AttentionSteps {
  const made = new Map<number | null, AttentionStep>()
  return {
    of(window) {
      const step = made.get(window) ?? (window === null ? fullStep(graph) : ringStep(graph, window))
      made.set(window, step)
      return step
    },
  }
}

/** The two masks are joined once a step; every layer adds the whole. */
function fullStep(graph: GraphBuilder): AttentionStep {
  const cachedMask = graph.input(inputNames.cachedMask, 'float32', [1, 1, 1, 'P'])
  const causalMask = graph.input(inputNames.causalMask, 'float32', [1, 1, 'S', 'S'])
  const g = graph.at('step')
  const cached = sizeOf(g.at('cached'), cachedMask, 3)
  const sizes = stepSizes(g, cached)
  const ones = g.integers([1])
  const everyQuery = expand(g.at('mask'), cachedMask, concat(g.at('mask'), [ones, ones, sizes.tokens, cached], 0))
  let keyPositions: Value | undefined
  return {
    sizes,
    mask: concat(g.at('mask'), [everyQuery, causalMask], -1), // [1, 1, S, P + S]
    keyPositions() {
      // A cached row's index is its position: rows are appended in order, and spare ones come last.
      keyPositions ??= concat(g.at('keys'), [range(g.at('keys'), cached), { name: inputNames.positions }], 0)
      return keyPositions
    },
  }
}

/**
 * A query at position q sees the keys at q - window + 1 to q (Beltagy et al. 2020, section 3.1). A ring's rows come in no
 * order, and when several tokens are new some of them see less of it than others: positions decide, not rows.
 */
function ringStep(graph: GraphBuilder, window: number): AttentionStep {
  const ring = graph.input(ringPositionsName(window), 'int64', [cachedRowsOf(window)])
  const g = graph.at(`step.window${window}`)
  const sizes = stepSizes(g, sizeOf(g.at('cached'), ring, 0))
  const keys = concat(g.at('keys'), [ring, { name: inputNames.positions }], 0) // [R + S]
  const at = g.at('mask')
  const queries = reshape(at, { name: inputNames.positions }, [1, 1, -1, 1]) // [1, 1, S, 1]
  const visible = and(
    at,
    lessOrEqual(at, keys, queries),
    greater(at, keys, subtract(at, queries, at.integers([window]))),
  ) // [1, 1, S, R + S]
  const mask = where(at, visible, at.floats([0]), at.floats([maskedScore]))
  return { sizes, mask, keyPositions: () => keys }
}

function stepSizes(g: GraphBuilder, cached: Value): AttentionStep['sizes'] {
  const batch = sizeOf(g.at('batch'), { name: inputNames.tokens }, 0)
  const tokens = sizeOf(g.at('tokens'), { name: inputNames.tokens }, 1)
  const parts = concat(g.at('parts'), [cached, tokens], 0)
  const columns = add(g.at('columns'), cached, tokens)
  return { batch, tokens, parts, columns }
}
