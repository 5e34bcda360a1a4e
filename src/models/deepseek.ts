import {
  type DeepSeekExperts,
  hasExperts,
  type MlaSizes,
  readDeepSeekExperts,
  readMlaSizes,
} from '../architecture/deepseek-fields.ts'
import { readFields } from '../architecture/fields.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import { ropeOf } from '../architecture/rope.ts'
import { yarnMscale } from '../architecture/rope-scaling.ts'
import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add, reshape, split } from '../onnx/ops.ts'
import { mergeHeads, splitHeads } from './attention.ts'
import { flag, refuse, requireNeutral } from './config-fields.ts'
import { type ExpertsSpec, experts } from './experts.ts'
import type { ModelBuilder, ModelFamily } from './family.ts'
import { linear } from './linear.ts'
import { llamaLogits, rotaryStack } from './llama-stack.ts'
import { findActivation, gatedMlp } from './mlp.ts'
import { rmsNorm } from './norm.ts'
import { type RotaryTable, rotate, rotatePairs } from './rope.ts'

/** What both generations share: latents in place of keys and values, and experts in place of most MLPs. */
const shared: Omit<ModelFamily, 'family' | 'check'> = {
  hidden: (model) => rotaryStack(model, block),
  logits: (model, hidden) => llamaLogits(model, { norm: rmsNorm }, hidden),
}

/** DeepSeek-V2 and V2-Lite (DeepSeek-AI 2024). Its experts are chosen by a softmax. */
export const deepSeekV2: ModelFamily = {
  ...shared,
  family: 'deepseek_v2',
  check(config) {
    checkShared(config)
    requireNeutral(config, {
      topk_method: ['greedy', 'group_limited_greedy'],
      scoring_func: ['softmax'],
      // DeepSeek's own code obeys it and transformers does not: of the released models none sets it.
      norm_topk_prob: [false],
      mlp_bias: [false],
      rope_interleave: [true],
    })
  },
}

/** DeepSeek-V3 and R1 (DeepSeek-AI 2024). Its experts are scored each by itself, and chosen with a correction. */
export const deepSeekV3: ModelFamily = {
  ...shared,
  family: 'deepseek_v3',
  check(config) {
    checkShared(config)
    requireNeutral(config, { topk_method: ['noaux_tc'], scoring_func: ['sigmoid'], mlp_bias: [false] })
    flag(config, 'rope_interleave', true)
  },
}

function checkShared(config: ModelConfig): void {
  findActivation(config.activation)
  flag(config, 'attention_bias', false)
  ropeOf(config)
  readDeepSeekExperts(readFields(config.raw))
  if (config.raw.q_lora_rank === undefined) refuse(config, 'q_lora_rank', 'nothing, neither a rank nor null')
  requireNeutral(config, {
    // The latent is decompressed for every query head.
    num_key_value_heads: [config.heads],
    // DeepSeek's own code obeys it and transformers does not: all released models have 1.
    moe_layer_freq: [1],
    partial_rotary_factor: [1],
    sliding_window: [],
    quantization_config: [],
  })
}

function block(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number, table: RotaryTable): Value {
  const { config } = model
  const name = `model.layers.${layer}`
  const normed = rmsNorm(model, g.at('input_layernorm'), x, `${name}.input_layernorm`)
  const attended = add(g.at('attn'), x, attention(model, g.at('attn'), normed, layer, table))
  const again = rmsNorm(model, g.at('post_attention_layernorm'), attended, `${name}.post_attention_layernorm`)
  const sizes = readDeepSeekExperts(readFields(config.raw))
  const forward = hasExperts(sizes, layer)
    ? experts(model, g.at('moe'), again, expertsOf(config, sizes, `${name}.mlp`))
    : gatedMlp(model, g.at('mlp'), again, `${name}.mlp`, false)
  return add(g.at('mlp'), attended, forward)
}

/** The norms of latents have an epsilon of their own, whatever rms_norm_eps says. */
const latentEpsilon = 1e-6

function attention(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number, table: RotaryTable): Value {
  const { config } = model
  const { hiddenSize, heads } = config
  const bias = flag(config, 'attention_bias', false)
  const name = `model.layers.${layer}.self_attn`
  const sizes = readMlaSizes(readFields(config.raw))
  const { rank, rope, nope, value } = sizes
  const interleaved = flag(config, 'rope_interleave', true)
  const turned = (at: GraphBuilder, of: Value) =>
    interleaved ? rotatePairs(at, of, table) : rotate(at, of, table, rope)

  const whole = splitHeads(g.at('query'), queries(model, g, x, name, sizes), heads, nope + rope) // [B, H, S, nope + rope]
  const query = split(g.at('query'), whole, g.integers([nope, rope]), ['plain', 'rotary'])
  const down = { inputs: hiddenSize, outputs: rank + rope, bias }
  const compressed = linear(model, g.at('kv_a_proj_with_mqa'), x, `${name}.kv_a_proj_with_mqa`, down)
  const row = split(g.at('latent'), splitHeads(g.at('latent'), compressed, 1, rank + rope), g.integers([rank, rope]), [
    'latent', // [B, 1, S, rank]
    'rotary', // [B, 1, S, rope]
  ])
  // A head's rows of the one tensor make its key and then its value. Of weights alone: cut once, at load.
  const up = g.at('kv_b_proj')
  const both = reshape(up, model.weight(`${name}.kv_b_proj.weight`, [heads * (nope + value), rank]), [
    1,
    heads,
    nope + value,
    rank,
  ])
  const { keyUp, valueUp } = split(up, both, g.integers([nope, value]), ['keyUp', 'valueUp'], 2)
  const norm = { width: rank, epsilon: latentEpsilon }
  const context = model.attendLatent(
    g,
    layer,
    { heads, rank, ropeDim: rope, nopeDim: nope, valueDim: value, scale: scaleOf(config) },
    {
      query: query.plain,
      rotaryQuery: turned(g.at('q_rotary'), query.rotary),
      latent: rmsNorm(model, g.at('kv_a_layernorm'), row.latent, `${name}.kv_a_layernorm`, norm),
      rotaryKey: turned(g.at('k_rotary'), row.rotary),
      keyUp,
      valueUp,
    },
  ) // [B, H, S, value]
  const merged = mergeHeads(g, context, heads, value) // [B, S, H value]
  return linear(model, g.at('o_proj'), merged, `${name}.o_proj`, { inputs: heads * value, outputs: hiddenSize, bias })
}

/** Queries, compressed on their way where the config says so (DeepSeek-V2, eq. 12 and 13). x: [B, S, hiddenSize] -> [B, S, H (nope + rope)] */
function queries(
  model: ModelBuilder,
  g: GraphBuilder,
  x: Value,
  name: string,
  { nope, rope, queryRank }: MlaSizes,
): Value {
  const { hiddenSize, heads } = model.config
  const outputs = heads * (nope + rope)
  if (queryRank === null) {
    return linear(model, g.at('q_proj'), x, `${name}.q_proj`, { inputs: hiddenSize, outputs, bias: false })
  }
  const bias = flag(model.config, 'attention_bias', false)
  const down = { inputs: hiddenSize, outputs: queryRank, bias }
  const compressed = linear(model, g.at('q_a_proj'), x, `${name}.q_a_proj`, down)
  const norm = { width: queryRank, epsilon: latentEpsilon }
  const normed = rmsNorm(model, g.at('q_a_layernorm'), compressed, `${name}.q_a_layernorm`, norm)
  return linear(model, g.at('q_b_proj'), normed, `${name}.q_b_proj`, { inputs: queryRank, outputs, bias: false })
}

/**
 * 1 / sqrt(key dim), times YaRN's temperature by `mscale_all_dim` squared where rope is stretched: that part of the
 * temperature which cosines and sines would not give the plain half of a key.
 */
function scaleOf(config: ModelConfig): number {
  const { scaling } = ropeOf(config)
  const plain = 1 / Math.sqrt(config.headDim)
  if (scaling?.type !== 'yarn' || scaling.mscaleAllDim === null) return plain
  return plain * yarnMscale(scaling.factor, scaling.mscaleAllDim) ** 2
}

function expertsOf({ family }: ModelConfig, sizes: DeepSeekExperts, name: string): ExpertsSpec {
  const { chosen, shared, inner, groups, scale, normalized } = sizes
  const third = family === 'deepseek_v3'
  const parts = (path: string, width: number) => ({
    gate: `${path}.gate_proj`,
    up: `${path}.up_proj`,
    down: `${path}.down_proj`,
    inner: width,
    bias: false,
  })
  return {
    router: {
      name: `${name}.gate`,
      experts: sizes.experts,
      chosen,
      scores: third ? 'sigmoid' : 'softmax',
      ...(third ? { correction: `${name}.gate.e_score_correction_bias` } : {}),
      ...(groups ? { groups: { ...groups, by: third ? 'bestTwo' : 'best' } } : {}),
      normalized,
      scale,
    },
    expert: (index) => parts(`${name}.experts.${index}`, inner),
    ...(shared > 0 ? { shared: parts(`${name}.shared_experts`, inner * shared) } : {}),
  }
}
