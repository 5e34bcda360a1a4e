import { gemmaActivation } from '../architecture/gemma-layout.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add, multiply } from '../onnx/ops.ts'
import { softCap } from './attention.ts'
import { flag, kvShapeOf, positive, refuse, requireNeutral } from './config-fields.ts'
import { embed, languageModelHead } from './embedding.ts'
import type { ModelBuilder } from './family.ts'
import { findActivation, gatedMlp } from './mlp.ts'
import { rmsNorm } from './norm.ts'
import { requireWholeRope } from './rope.ts'
import { type SelfAttentionForm, selfAttention } from './self-attention.ts'

/** What every generation of Gemma does alike. B batch, S new tokens. */

const table = 'model.embed_tokens.weight'

/**
 * What none of them may ask for; the family says what else.
 * @throws AppError CONFIG_UNSUPPORTED naming the field
 */
export function checkGemma(config: ModelConfig): void {
  findActivation(config.activation)
  for (let layer = 0; layer < config.layers; layer++) kvShapeOf(config, layer)
  flag(config, 'attention_bias', false)
  requireWholeRope(config)
  requireOneActivation(config)
  requireNeutral(config, {
    use_bidirectional_attention: [false],
    quantization_config: [],
  })
}

/** `hidden_act` and `hidden_activation`: transformers reads one of them and passes over the other, which may not differ. */
function requireOneActivation(config: ModelConfig): void {
  const { hidden_act: act, hidden_activation: activation } = config.raw
  if (act == null || activation == null || act === activation) return
  if (act !== 'gelu' || activation !== gemmaActivation) refuse(config, 'hidden_act', act)
}

/**
 * Token ids -> rows of the table times the square root of the hidden size, [B, S, hiddenSize]. In float32 like all else:
 * computing in bfloat16, transformers rounds the factor too, sqrt(3072) to 55.5.
 */
export function gemmaEmbeddings(model: ModelBuilder, g: GraphBuilder): Value {
  const { hiddenSize, vocabularySize } = model.config
  const at = g.at('embed_tokens')
  return multiply(at, embed(model, at, model.tokens, table, vocabularySize), at.floats([Math.sqrt(hiddenSize)]))
}

/** Hidden state -> logits, capped where the config says so: [B, S, vocabulary]. */
export function gemmaLogits(model: ModelBuilder, hidden: Value, cap: number | null = null): Value {
  const g = model.graph.at('lm_head')
  const normed = rmsNorm(model, model.graph.at('model').at('norm'), hidden, 'model.norm', { unitOffset: true })
  const logits = languageModelHead(model, g, normed, table, 'lm_head.weight')
  return cap === null ? logits : softCap(g.at('cap'), logits, cap)
}

/** One of a layer's norms. x: [B, S, hiddenSize] -> the same */
export function gemmaNorm(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number, part: string): Value {
  return rmsNorm(model, g.at(part), x, `model.layers.${layer}.${part}`, { unitOffset: true })
}

/** GeGLU (Shazeer 2020, eq. 6). x: [B, S, hiddenSize] -> the same */
export function gemmaMlp(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number): Value {
  return gatedMlp(model, g.at('mlp'), x, `model.layers.${layer}.mlp`, false)
}

/** x: [B, S, hiddenSize] -> the same */
export function gemmaAttention(
  model: ModelBuilder,
  g: GraphBuilder,
  x: Value,
  layer: number,
  form: Omit<SelfAttentionForm, 'bias' | 'outputBias'>,
): Value {
  const bias = flag(model.config, 'attention_bias', false)
  const name = `model.layers.${layer}.self_attn`
  return selfAttention(model, g.at('attn'), x, layer, name, { ...form, bias, outputBias: bias })
}

/** A layer of Gemma 2 and 3: attention and MLP with a norm before and one behind each, inside the residual. */
export function sandwichBlock(
  model: ModelBuilder,
  g: GraphBuilder,
  x: Value,
  layer: number,
  form: Omit<SelfAttentionForm, 'bias' | 'outputBias'>,
): Value {
  const norm = (part: string, of: Value) => gemmaNorm(model, g, of, layer, part)
  const attention = gemmaAttention(model, g, norm('input_layernorm', x), layer, form)
  const attended = add(g.at('attn'), x, norm('post_attention_layernorm', attention))
  const forward = gemmaMlp(model, g, norm('pre_feedforward_layernorm', attended), layer)
  return add(g.at('mlp'), attended, norm('post_feedforward_layernorm', forward))
}

/** Scores are multiplied by 1 / sqrt(query_pre_attn_scalar): Gemma 2's and 3's own word, 256 unless said. */
export function queryScale(config: ModelConfig): number {
  return 1 / Math.sqrt(positive(config, 'query_pre_attn_scalar', 256) ?? refuse(config, 'query_pre_attn_scalar', null))
}
