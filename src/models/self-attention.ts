import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { mergeHeads, splitHeads } from './attention.ts'
import { kvShapeOf } from './config-fields.ts'
import type { ModelBuilder } from './family.ts'
import { linear } from './linear.ts'
import { type RmsNormForm, rmsNorm } from './norm.ts'
import { type RotaryTable, rotate } from './rope.ts'

/** How Llama's descendants attend: what each of them adds to Llama's own attention, or takes from it. */
export interface SelfAttentionForm {
  /** of q, k and v */
  bias: boolean
  outputBias: boolean
  table: RotaryTable
  /** every query and key head is RMS-normed by itself before it is turned, with one gain for all heads (Dehghani et al. 2023) */
  headNorm?: Omit<RmsNormForm, 'width'>
  /** queries and keys are RMS-normed over all heads together, before they are split (OLMo 2) */
  projectionNorm?: boolean
  /** the last part of the output projection's name; o_proj unless said */
  output?: string
  /** what scores are multiplied by; 1 / sqrt(head dim) unless said */
  scale?: number
  /** see AttentionSpec */
  softCap?: number
}

/**
 * Attention of one layer with rotary positions over projections that stand apart, `q_proj`, `k_proj`, `v_proj` and an
 * output under `name`. Its K/V heads and its window are those that the config has for the layer.
 * @param x [B, S, hiddenSize] -> the same
 */
export function selfAttention(
  model: ModelBuilder,
  g: GraphBuilder,
  x: Value,
  layer: number,
  name: string,
  { bias, outputBias, table, headNorm, projectionNorm = false, output = 'o_proj', scale, softCap }: SelfAttentionForm,
): Value {
  const { hiddenSize, heads, headDim } = model.config
  const kv = kvShapeOf(model.config, layer)
  const project = (part: 'q' | 'k' | 'v', count: number) => {
    const at = g.at(`${part}_proj`)
    const projection = { inputs: hiddenSize, outputs: count * headDim, bias }
    const projected = linear(model, at, x, `${name}.${part}_proj`, projection)
    const whole = projectionNorm && part !== 'v'
    const width = count * headDim
    return splitHeads(at, whole ? norm(part, projected, { width }) : projected, count, headDim)
  }
  const norm = (part: 'q' | 'k', of: Value, form: RmsNormForm) =>
    rmsNorm(model, g.at(`${part}_norm`), of, `${name}.${part}_norm`, form)
  const normed = (part: 'q' | 'k', of: Value) => (headNorm ? norm(part, of, { ...headNorm, width: headDim }) : of)
  const placed = (part: 'q' | 'k', count: number) =>
    rotate(g.at(`${part}_rotary`), normed(part, project(part, count)), table, headDim)

  const spec = {
    heads,
    ...kv,
    keyDim: headDim,
    valueDim: headDim,
    scale: scale ?? 1 / Math.sqrt(headDim),
    ...(softCap === undefined ? {} : { softCap }),
  }
  const context = model.attend(g, layer, spec, {
    query: placed('q', heads), // [B, H, S, d]
    key: placed('k', kv.kvHeads), // [B, KV, S, d], cached rotated
    value: project('v', kv.kvHeads), // [B, KV, S, d]
  }) // [B, H, S, d]
  const merged = mergeHeads(g, context, heads, headDim) // [B, S, H d]
  const narrowed = { inputs: heads * headDim, outputs: hiddenSize, bias: outputBias }
  return linear(model, g.at(output), merged, `${name}.${output}`, narrowed)
}
