import type { ElementType, GraphBuilder, Value } from './graph.ts'

/** Operators of onnxruntime's own. */
const contributed = 'com.microsoft'

/** One past any dimension: ONNX's way to say "to the end". */
const end = Number.MAX_SAFE_INTEGER

export function matMul(g: GraphBuilder, a: Value, b: Value): Value {
  return g.node('MatMul', [a, b])
}

/**
 * scale * a x transpose(b): weights as torch's Linear stores them, [out, in], and queries against keys, with no
 * transposed copy. The one place where providers differ: where FusedMatMul is missing (WebGPU, CoreML, DirectML) a
 * Transpose goes before a plain MatMul; for weights the runtime folds it into a copy at load.
 */
export function matMulTransposed(g: GraphBuilder, a: Value, b: Value, rank: number, scale = 1): Value {
  if (g.options.fusedMatMul) {
    return g.node('FusedMatMul', [a, b], { domain: contributed, attributes: { transB: 1, alpha: { float: scale } } })
  }
  const axes = Array.from({ length: rank }, (_, axis) => axis)
  const swapped = g.node('Transpose', [b], { attributes: { perm: [...axes.slice(0, -2), rank - 1, rank - 2] } })
  const product = matMul(g, a, swapped)
  return scale === 1 ? product : multiply(g, product, g.floats([scale]))
}

export function add(g: GraphBuilder, a: Value, b: Value): Value {
  return g.node('Add', [a, b])
}

export function multiply(g: GraphBuilder, a: Value, b: Value): Value {
  return g.node('Mul', [a, b])
}

export function subtract(g: GraphBuilder, a: Value, b: Value): Value {
  return g.node('Sub', [a, b])
}

export function greater(g: GraphBuilder, a: Value, b: Value): Value {
  return g.node('Greater', [a, b])
}

export function lessOrEqual(g: GraphBuilder, a: Value, b: Value): Value {
  return g.node('LessOrEqual', [a, b])
}

export function and(g: GraphBuilder, a: Value, b: Value): Value {
  return g.node('And', [a, b])
}

/** `a` where `condition` holds, elsewhere `b`. */
export function where(g: GraphBuilder, condition: Value, a: Value, b: Value): Value {
  return g.node('Where', [condition, a, b])
}

export function negate(g: GraphBuilder, a: Value): Value {
  return g.node('Neg', [a])
}

export function cosine(g: GraphBuilder, a: Value): Value {
  return g.node('Cos', [a])
}

export function tanh(g: GraphBuilder, a: Value): Value {
  return g.node('Tanh', [a])
}

export function sine(g: GraphBuilder, a: Value): Value {
  return g.node('Sin', [a])
}

/** a to the power of b, value by value. */
export function power(g: GraphBuilder, a: Value, b: Value): Value {
  return g.node('Pow', [a, b])
}

export function maximum(g: GraphBuilder, a: Value, b: Value): Value {
  return g.node('Max', [a, b])
}

/** Rows of `table` by index. */
export function gather(g: GraphBuilder, table: Value, indices: Value, axis = 0): Value {
  return g.node('Gather', [table, indices], { attributes: { axis } })
}

export function concat(g: GraphBuilder, parts: readonly Value[], axis: number): Value {
  return g.node('Concat', parts, { attributes: { axis } })
}

/** Repeats along axes of size one until the tensor has the given sizes. */
export function expand(g: GraphBuilder, value: Value, sizes: Value): Value {
  return g.node('Expand', [value, sizes])
}

/** Cuts along an axis, the last by default, into the named parts, whose sizes are given in the same order. */
export function split<const Part extends string>(
  g: GraphBuilder,
  value: Value,
  sizes: Value,
  parts: readonly Part[],
  axis = -1,
): Record<Part, Value> {
  return g.nodeWithOutputs('Split', [value, sizes], parts, { attributes: { axis } })
}

/** `shape` holds ONNX's two shorthands: 0 keeps a size, -1 takes what is left (never beside a size of zero). */
export function reshape(g: GraphBuilder, value: Value, shape: readonly number[] | Value): Value {
  return g.node('Reshape', [value, 'name' in shape ? shape : g.integers(shape)])
}

export function transpose(g: GraphBuilder, value: Value, perm: readonly number[]): Value {
  return g.node('Transpose', [value], { attributes: { perm } })
}

export function softmax(g: GraphBuilder, value: Value): Value {
  return g.node('Softmax', [value], { attributes: { axis: -1 } })
}

export function cast(g: GraphBuilder, value: Value, type: keyof typeof castTargets): Value {
  return g.node('Cast', [value], { attributes: { to: castTargets[type] } })
}

/** TensorProto.DataType, which Cast takes as a number. */
const castTargets = { float32: 1, float16: 10, bfloat16: 16 } as const satisfies Partial<Record<ElementType, number>>

/** 0, 1, ... count - 1, int64, where `count` is a vector of one int64. */
export function range(g: GraphBuilder, count: Value): Value {
  return g.node('Range', [g.integers([0]), count, g.integers([1])])
}

/** The last entry along `axis`, which stays, with size one. */
export function lastOf(g: GraphBuilder, value: Value, axis: number): Value {
  return g.node('Slice', [value, g.integers([-1]), g.integers([end]), g.integers([axis])])
}

/** One size of a tensor, as a vector of one int64. */
export function sizeOf(g: GraphBuilder, value: Value, axis: number): Value {
  return g.node('Shape', [value], { attributes: { start: axis, end: axis + 1 } })
}

/** (x - mean) / sqrt(variance + epsilon) * weight + bias over the last axis (Ba et al. 2016, eq. 4). */
export function layerNormalization(g: GraphBuilder, x: Value, weight: Value, bias: Value, epsilon: number): Value {
  return g.node('LayerNormalization', [x, weight, bias], { attributes: { axis: -1, epsilon: { float: epsilon } } })
}

/** x / sqrt(mean(x²) + epsilon) * weight over the last axis (Zhang and Sennrich 2019, eq. 4). */
export function rmsNormalization(g: GraphBuilder, x: Value, weight: Value, epsilon: number): Value {
  return g.node('RMSNormalization', [x, weight], { attributes: { axis: -1, epsilon: { float: epsilon } } })
}

export function gelu(g: GraphBuilder, x: Value, approximate: 'none' | 'tanh'): Value {
  return g.node('Gelu', [x], { attributes: { approximate } })
}

export function relu(g: GraphBuilder, x: Value): Value {
  return g.node('Relu', [x])
}

/** x * sigmoid(x), also called swish. */
export function silu(g: GraphBuilder, x: Value): Value {
  return multiply(g, x, sigmoid(g, x))
}

export function sigmoid(g: GraphBuilder, x: Value): Value {
  return g.node('Sigmoid', [x])
}

export function divide(g: GraphBuilder, a: Value, b: Value): Value {
  return g.node('Div', [a, b])
}

/** Sizes of a tensor, as a vector of int64. */
export function shapeOf(g: GraphBuilder, value: Value): Value {
  return g.node('Shape', [value])
}

export function reduceSum(g: GraphBuilder, value: Value, axis: number, keepAxis: boolean): Value {
  return g.node('ReduceSum', [value, g.integers([axis])], { attributes: { keepdims: keepAxis ? 1 : 0 } })
}

export function reduceMax(g: GraphBuilder, value: Value, axis: number): Value {
  return g.node('ReduceMax', [value, g.integers([axis])], { attributes: { keepdims: 0 } })
}

/** The `count` largest (or smallest) entries along the last axis, in their order, and where they stand. */
export function topK(
  g: GraphBuilder,
  value: Value,
  count: number | Value,
  largest = true,
): Record<'values' | 'indices', Value> {
  const taken = typeof count === 'number' ? g.integers([count]) : count
  return g.nodeWithOutputs('TopK', [value, taken], ['values', 'indices'], { attributes: { largest: largest ? 1 : 0 } })
}

/** Indices [...] -> [..., depth], int64: 1 where the last axis stands at the index, 0 elsewhere. */
export function oneHot(g: GraphBuilder, indices: Value, depth: number): Value {
  return g.node('OneHot', [indices, g.integers([depth]), g.integers([0, 1])])
}

/** Entries of the last axis by index: value [..., n], indices [..., m] -> [..., m] */
export function gatherLast(g: GraphBuilder, value: Value, indices: Value): Value {
  return g.node('GatherElements', [value, indices], { attributes: { axis: -1 } })
}
