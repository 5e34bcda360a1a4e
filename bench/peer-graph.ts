import type { ModelConfig } from '../src/architecture/model-config.ts'
import type { Checkpoint } from '../src/checkpoints/checkpoint.ts'
import { createGraph, type GraphBuilder, type Value } from '../src/onnx/graph.ts'
import { encodeModel } from '../src/onnx/model-proto.ts'
import * as ops from '../src/onnx/ops.ts'

/**
 * GPT-2 as transformers.js is given it: exported models' names, and the whole present K/V returned by every step. The
 * bench writes the graph, so it has to be the best there is: three forms of attention, of which the fastest is taken.
 */
export const peerAttentions = ['MultiHeadAttention', 'GroupQueryAttention', 'decomposed'] as const
export type PeerAttention = (typeof peerAttentions)[number]

export interface PeerGraphOptions {
  attention: PeerAttention
  /** exported models compute the logits of every position */
  logits: 'last' | 'all'
  /** of weights, cache and logits, as exports in fp16 have them; computed in float32 all the same */
  elementType?: 'float32' | 'float16'
  /** the weights' file as the graph is to find it; the same bytes as the checkpoint's */
  weightsFile: string
}

/** What all layers share. */
interface Shared {
  config: ModelConfig
  elementType: 'float32' | 'float16'
  graph: GraphBuilder
  weight(name: string): Value
  /** [1, 1, S, T] added to scores; for the decomposed form */
  mask: Value
  /** [1] int32, keys - 1; [] int32, keys; for GroupQueryAttention */
  lengths: { last: Value; total: Value }
}

const contributed = 'com.microsoft'
const absent: Value = { name: '' }

/** The graph as an ONNX file's bytes; its weights stay in `weightsFile`. */
export function buildPeerGraph(checkpoint: Checkpoint, config: ModelConfig, options: PeerGraphOptions): Uint8Array {
  const graph = createGraph({ fusedMatMul: true })
  const ids = graph.input('input_ids', 'int64', ['batch_size', 'S'])
  const positions = graph.input('position_ids', 'int64', ['batch_size', 'S'])
  const attentionMask = graph.input('attention_mask', 'int64', ['batch_size', 'T'])
  const { elementType = 'float32' } = options
  const taken = new Map<string, Value>()
  const weight = (name: string) => {
    const known = taken.get(name)
    if (known) return known
    const entry = checkpoint.tensors.get(name)
    if (entry?.dtype !== storedAs[elementType])
      throw new Error(`the peer's graph takes ${elementType}, and ${name} is not`)
    const { shape, offset, length } = entry
    const value = widened(
      graph,
      graph.external({ name, type: elementType, dims: shape, file: options.weightsFile, offset, length }),
      elementType,
    )
    taken.set(name, value)
    return value
  }
  const shared: Shared = {
    config,
    elementType,
    graph,
    weight,
    mask: options.attention === 'decomposed' ? causalMask(graph.at('mask'), attentionMask, positions) : absent,
    lengths:
      options.attention === 'GroupQueryAttention'
        ? keyLengths(graph.at('lengths'), attentionMask)
        : { last: absent, total: absent },
  }
  let x = ops.add(
    graph,
    ops.gather(graph, weight('wte.weight'), ids),
    ops.gather(graph, weight('wpe.weight'), positions),
  )
  for (let layer = 0; layer < config.layers; layer += 1) x = block(shared, graph.at(`h.${layer}`), x, layer, options)
  if (options.logits === 'last') x = ops.lastOf(graph, x, 1)
  const normed = norm(shared, graph.at('ln_f'), x, 'ln_f')
  const logits = ops.matMulTransposed(graph.at('lm_head'), normed, weight('wte.weight'), 2)
  graph.output('logits', narrowed(graph, logits, elementType), elementType, ['batch_size', 'L', config.vocabularySize])
  return encodeModel(graph.finish()).bytes
}

const storedAs = { float32: 'F32', float16: 'F16' } as const

function widened(g: GraphBuilder, x: Value, type: 'float32' | 'float16'): Value {
  return type === 'float32' ? x : ops.cast(g, x, 'float32')
}

function narrowed(g: GraphBuilder, x: Value, type: 'float32' | 'float16'): Value {
  return type === 'float32' ? x : ops.cast(g, x, 'float16')
}

function block(shared: Shared, g: GraphBuilder, x: Value, layer: number, { attention }: PeerGraphOptions): Value {
  const { elementType, graph } = shared
  const { hiddenSize, heads, headDim } = shared.config
  const name = `h.${layer}`
  const fused = conv1d(shared, g.at('c_attn'), norm(shared, g.at('ln_1'), x, `${name}.ln_1`), `${name}.attn.c_attn`)
  const { q, k, v } = ops.split(g, fused, g.integers([hiddenSize, hiddenSize, hiddenSize]), ['q', 'k', 'v'])
  const past = (part: string) =>
    widened(
      g,
      graph.input(`past_key_values.${layer}.${part}`, elementType, ['batch_size', heads, 'P', headDim]),
      elementType,
    )
  const [pastKey, pastValue] = [past('key'), past('value')]
  const [context, key, value] = attend(shared, g.at('attn'), attention, [q, k, v], [pastKey, pastValue])
  const present = (part: string, tensor: Value) =>
    graph.output(`present.${layer}.${part}`, narrowed(g, tensor, elementType), elementType, [
      'batch_size',
      heads,
      'T',
      headDim,
    ])
  present('key', key)
  present('value', value)

  const attended = ops.add(g, x, conv1d(shared, g.at('c_proj'), context, `${name}.attn.c_proj`))
  const up = conv1d(shared, g.at('c_fc'), norm(shared, g.at('ln_2'), attended, `${name}.ln_2`), `${name}.mlp.c_fc`)
  return ops.add(g, attended, conv1d(shared, g.at('mlp'), ops.gelu(g, up, 'tanh'), `${name}.mlp.c_proj`))
}

/** Context [1, S, hidden], present keys and present values [1, H, T, d]. */
function attend(
  shared: Shared,
  g: GraphBuilder,
  attention: PeerAttention,
  [q, k, v]: [Value, Value, Value],
  [pastKey, pastValue]: [Value, Value],
): [context: Value, key: Value, value: Value] {
  const { heads, headDim } = shared.config
  const fusedForm = (inputs: Value[], attributes: Record<string, number>): [Value, Value, Value] => {
    const { context, key, value } = g.nodeWithOutputs(attention, inputs, ['context', 'key', 'value'], {
      domain: contributed,
      attributes,
    })
    return [context, key, value]
  }
  switch (attention) {
    case 'MultiHeadAttention':
      return fusedForm([q, k, v, absent, absent, absent, pastKey, pastValue], { num_heads: heads, unidirectional: 1 })
    case 'GroupQueryAttention':
      return fusedForm([q, k, v, pastKey, pastValue, shared.lengths.last, shared.lengths.total], {
        num_heads: heads,
        kv_num_heads: heads,
      })
    case 'decomposed': {
      const byHead = (x: Value) => ops.transpose(g, ops.reshape(g, x, [0, 0, heads, headDim]), [0, 2, 1, 3])
      const keys = ops.concat(g, [pastKey, byHead(k)], 2)
      const values = ops.concat(g, [pastValue, byHead(v)], 2)
      const scores = ops.matMulTransposed(g, byHead(q), keys, 4, 1 / Math.sqrt(headDim))
      const context = ops.matMul(g, ops.softmax(g, ops.add(g, scores, shared.mask)), values)
      return [ops.reshape(g, ops.transpose(g, context, [0, 2, 1, 3]), [0, 0, heads * headDim]), keys, values]
    }
  }
}

/** Hides keys after each query's own position, which is the same in every sequence. */
function causalMask(g: GraphBuilder, attentionMask: Value, positions: Value): Value {
  const total = g.node('Squeeze', [ops.sizeOf(g, attentionMask, 1)])
  const [zero, one] = [scalar(g, 0), scalar(g, 1)]
  const keys = g.node('Unsqueeze', [g.node('Range', [zero, total, one]), g.integers([0])]) // [1, T]
  const first = ops.gather(g, positions, g.integers([0])) // [1, S]
  const later = g.node('Greater', [keys, ops.transpose(g, first, [1, 0])]) // [S, T]
  const mask = g.node('Where', [later, g.floats([-1e9]), g.floats([0])])
  return g.node('Unsqueeze', [mask, g.integers([0, 1])])
}

function keyLengths(g: GraphBuilder, attentionMask: Value): Shared['lengths'] {
  const int32 = 6
  const total = g.node('Cast', [ops.sizeOf(g, attentionMask, 1)], { attributes: { to: int32 } }) // [1]
  const one = g.node('Cast', [g.integers([1])], { attributes: { to: int32 } })
  return { last: g.node('Sub', [total, one]), total: g.node('Squeeze', [total]) }
}

function scalar(g: GraphBuilder, value: number): Value {
  return g.node('Squeeze', [g.integers([value])])
}

function conv1d({ weight }: Shared, g: GraphBuilder, x: Value, name: string): Value {
  return ops.add(g, ops.matMul(g, x, weight(`${name}.weight`)), weight(`${name}.bias`))
}

function norm({ weight, config }: Shared, g: GraphBuilder, x: Value, name: string): Value {
  return ops.layerNormalization(g, x, weight(`${name}.weight`), weight(`${name}.bias`), config.normEpsilon)
}
