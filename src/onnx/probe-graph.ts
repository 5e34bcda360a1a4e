import { createGraph, type GraphBuilder, type GraphOptions, type Value } from './graph.ts'
import { type EncodedModel, encodeModel } from './model-proto.ts'
import {
  add,
  cast,
  concat,
  cosine,
  gather,
  gelu,
  lastOf,
  layerNormalization,
  matMul,
  matMulTransposed,
  multiply,
  negate,
  reshape,
  rmsNormalization,
  silu,
  sine,
  softmax,
  split,
  transpose,
} from './ops.ts'
import type { Tensor } from './session.ts'

/** A small graph, what to feed it, and what it must return. */
export interface Probe {
  model: EncodedModel
  feeds: Record<string, Tensor>
  expected: Float64Array
}

/** The output of every probe graph. */
export const probeOutput = 'result'

const width = 16
const heads = 4
const kvHeads = 2
const dim = 4
const vocabulary = 11
const tokens = [3, 9, 4]
const cachedRows = 5
const filledRows = 4
const hidden = -1e30
const epsilon = 1e-5
const scale = 1 / Math.sqrt(dim)

/** Repeatable values that look like nothing in particular. */
const values = (count: number, seed: number, size = 1) =>
  Float32Array.from({ length: count }, (_, i) => size * Math.sin(1.7 * i + seed) * Math.cos(0.3 * i * seed))

const table = values(vocabulary * width, 1)
const gain = values(width, 2).map((value) => 1 + 0.2 * value)
const offset = values(width, 3, 0.2)
const fusedWidth = (heads + 2 * kvHeads) * dim
const fused = values(width * fusedWidth, 4, 0.5)
const output = values(width * width, 5, 0.4)
const cachedKey = values(kvHeads * cachedRows * dim, 6, 2)
const cachedValue = values(kvHeads * cachedRows * dim, 7, 2)

/**
 * What a decode step leans on, in sizes that are all known: a table of embeddings, layer norm, one fused projection,
 * attention in split form over a cache with a spare row (models/attention.ts), SiLU, and a head that is the table.
 */
export function attentionProbe(options: GraphOptions): Probe {
  const g = createGraph(options)
  const count = tokens.length
  const rows = (heads / kvHeads) * count
  const embeddings = g.floats([...table], [vocabulary, width])
  const x = gather(g, embeddings, g.input('tokens', 'int64', [1, count])) // [1, S, width]
  const normed = layerNormalization(g, x, vector(g, gain), vector(g, offset), epsilon)
  const projected = matMul(g, normed, g.floats([...fused], [width, fusedWidth]))
  const sizes = g.integers([width, kvHeads * dim, kvHeads * dim])
  const { q, k, v } = split(g, projected, sizes, ['q', 'k', 'v'])
  const apart = (part: Value, n: number) => transpose(g, reshape(g, part, [1, count, n, dim]), [0, 2, 1, 3])
  const folded = reshape(g, apart(q, heads), [1, kvHeads, rows, dim])
  const keys = g.input('keys', 'float32', [1, kvHeads, cachedRows, dim])
  const old = reshape(g, matMulTransposed(g, folded, keys, 4, scale), [1, heads, count, cachedRows])
  const fresh = reshape(g, matMulTransposed(g, folded, apart(k, kvHeads), 4, scale), [1, heads, count, count])
  const spare = g.floats(
    Array.from({ length: cachedRows }, (_, row) => (row < filledRows ? 0 : hidden)),
    [1, 1, 1, cachedRows],
  )
  const causal = g.floats(
    Array.from({ length: count * count }, (_, i) => (i % count > Math.floor(i / count) ? hidden : 0)),
    [count, count],
  )
  const scores = concat(g, [add(g, old, spare), add(g, fresh, causal)], -1)
  const { toOld, toFresh } = split(g, softmax(g, scores), g.integers([cachedRows, count]), ['toOld', 'toFresh'])
  const fromOld = matMul(
    g,
    reshape(g, toOld, [1, kvHeads, rows, cachedRows]),
    g.input('values', 'float32', [1, kvHeads, cachedRows, dim]),
  )
  const fromFresh = matMul(g, reshape(g, toFresh, [1, kvHeads, rows, count]), apart(v, kvHeads))
  const context = reshape(g, add(g, fromOld, fromFresh), [1, heads, count, dim])
  const merged = reshape(g, transpose(g, context, [0, 2, 1, 3]), [1, count, width])
  const sum = add(g, x, matMul(g, merged, g.floats([...output], [width, width])))
  const logits = matMulTransposed(g, silu(g, lastOf(g, sum, 1)), embeddings, 2)
  g.output(probeOutput, logits, 'float32', [1, 1, vocabulary])
  const cache = (data: Float32Array): Tensor => ({ type: 'float32', data, dims: [1, kvHeads, cachedRows, dim] })
  return {
    model: encodeModel(g.finish()),
    feeds: { tokens: integers(tokens, [1, count]), keys: cache(cachedKey), values: cache(cachedValue) },
    expected: attentionResult(),
  }
}

/** The same in plain loops: only the last token's logits, every query head on its own. */
function attentionResult(): Float64Array {
  const at = (of: Float32Array | Float64Array, index: number) => of[index] ?? Number.NaN
  const embedded = tokens.map((token) => Float64Array.from(table.subarray(token * width, (token + 1) * width)))
  const projected = embedded.map((row) => {
    const mean = row.reduce((sum, value) => sum + value, 0) / width
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width
    const normed = row.map((value, i) => ((value - mean) / Math.sqrt(variance + epsilon)) * at(gain, i) + at(offset, i))
    return Float64Array.from({ length: fusedWidth }, (_, column) =>
      normed.reduce((sum, value, i) => sum + value * at(fused, i * fusedWidth + column), 0),
    )
  })
  const lastRow = projected.at(-1) ?? new Float64Array(0)
  const context = Float64Array.from({ length: width }, (_, column) => {
    const [head, within] = [Math.floor(column / dim), column % dim]
    const group = Math.floor(head / (heads / kvHeads))
    /** entry `i` of a K/V head's row, cached rows first */
    const entry = (cache: Float32Array, part: number, row: number, i: number) =>
      row < filledRows
        ? at(cache, (group * cachedRows + row) * dim + i)
        : at(projected[row - filledRows] ?? lastRow, (heads + part * kvHeads + group) * dim + i)
    const weights = Array.from({ length: filledRows + tokens.length }, (_, row) => {
      let score = 0
      for (let i = 0; i < dim; i++) score += at(lastRow, head * dim + i) * entry(cachedKey, 0, row, i)
      return Math.exp(score * scale)
    })
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    return weights.reduce((sum, weight, row) => sum + (weight / total) * entry(cachedValue, 1, row, within), 0)
  })
  const result = (embedded.at(-1) ?? lastRow).map((value, column) => {
    const sum = context.reduce((total, entry, i) => total + entry * at(output, i * width + column), value)
    return sum / (1 + Math.exp(-sum))
  })
  return Float64Array.from({ length: vocabulary }, (_, token) =>
    result.reduce((sum, value, i) => sum + value * at(table, token * width + i), 0),
  )
}

/** The rest of what families use: RMS norm, GELU, and the sines of rotary positions. */
export function elementwiseProbe(options: GraphOptions): Probe {
  const g = createGraph(options)
  const x = g.input('x', 'float32', [3, width])
  const normed = gelu(g, rmsNormalization(g, x, vector(g, gain), epsilon), 'tanh')
  const positions = reshape(g, cast(g, g.input('positions', 'int64', [3]), 'float32'), [-1, 1])
  const angles = multiply(g, positions, g.floats([0.37]))
  const turned = add(g, multiply(g, normed, cosine(g, angles)), negate(g, sine(g, angles)))
  g.output(probeOutput, turned, 'float32', [3, width])

  const data = values(3 * width, 8, 2)
  const expected = new Float64Array(3 * width)
  for (const [row, position] of tokens.entries()) {
    const entries = Float64Array.from(data.subarray(row * width, (row + 1) * width))
    const mean = entries.reduce((sum, value) => sum + value * value, 0) / width
    for (const [column, entry] of entries.entries()) {
      const value = (entry / Math.sqrt(mean + epsilon)) * (gain[column] ?? 0)
      // The tanh form of GELU (Hendrycks and Gimpel 2016).
      const gate = (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3))) / 2
      expected[row * width + column] = value * gate * Math.cos(0.37 * position) - Math.sin(0.37 * position)
    }
  }
  return {
    model: encodeModel(g.finish()),
    feeds: { x: { type: 'float32', data, dims: [3, width] }, positions: integers(tokens, [3]) },
    expected,
  }
}

function vector(g: GraphBuilder, entries: Float32Array): Value {
  return g.floats([...entries], [entries.length])
}

function integers(entries: readonly number[], dims: readonly number[]): Tensor {
  return { type: 'int64', data: BigInt64Array.from(entries, (entry) => BigInt(entry)), dims }
}
