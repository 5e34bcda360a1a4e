import { everyLayer } from './attention-shape.ts'
import { hasExperts, readDeepSeekExperts, readMlaSizes } from './deepseek-fields.ts'
import type { ConfigWord, KeyTensor } from './family.ts'
import { type Fields, readFields } from './fields.ts'
import { gatedMlp } from './llama-layout.ts'
import type { ExpectedTensor, Family, ModelConfig } from './model-config.ts'
import { readRopeTheta } from './rope.ts'
import { routedTo } from './routed-experts.ts'
import { affine, indices, matrix } from './tensor-list.ts'

export function readDeepSeek(fields: Fields, name: string, family: Family): ModelConfig {
  const [layers, heads] = [fields.layers('num_hidden_layers'), fields.size('num_attention_heads')]
  const { rank, rope, nope, value } = readMlaSizes(fields)
  readDeepSeekExperts(fields)
  const keyDim = nope + rope
  const shape = { kind: 'MLA', kvHeads: null, keyDim, valueDim: value, window: null } as const
  return {
    family,
    name,
    layers,
    hiddenSize: fields.size('hidden_size'),
    intermediateSize: fields.size('intermediate_size'),
    heads,
    headDim: keyDim,
    attention: everyLayer(layers, { ...shape, latent: { rank, ropeDim: rope } }),
    vocabularySize: fields.size('vocab_size'),
    contextLength: fields.sizeOr(2048, 'max_position_embeddings'),
    tiedEmbeddings: fields.flag(false, 'tie_word_embeddings'),
    normEpsilon: fields.number(1e-6, 'rms_norm_eps'),
    initializerRange: fields.number(0.02, 'initializer_range'),
    activation: fields.text('silu', 'hidden_act'),
    ropeTheta: readRopeTheta(fields),
    raw: fields.raw,
  }
}

function attentionTensors(config: ModelConfig, path: string): ExpectedTensor[] {
  const { hiddenSize: hidden, heads, raw } = config
  const { rank, rope, nope, value, queryRank } = readMlaSizes(readFields(raw))
  const bias = raw.attention_bias === true
  const norm = (name: string, size: number): ExpectedTensor => ({
    name: `${path}.${name}.weight`,
    shape: [size],
    init: 'ones',
  })
  const queryWidth = heads * (nope + rope)
  const query =
    queryRank === null
      ? [matrix(`${path}.q_proj`, [queryWidth, hidden])]
      : [
          ...affine(`${path}.q_a_proj`, [queryRank, hidden], { bias }),
          norm('q_a_layernorm', queryRank),
          matrix(`${path}.q_b_proj`, [queryWidth, queryRank]),
        ]
  return [
    ...query,
    ...affine(`${path}.kv_a_proj_with_mqa`, [rank + rope, hidden], { bias }),
    norm('kv_a_layernorm', rank),
    matrix(`${path}.kv_b_proj`, [heads * (nope + value), rank]),
    ...affine(`${path}.o_proj`, [hidden, heads * value], { bias }),
  ]
}

/** A dense SwiGLU in the first layers, then routed and shared experts (DeepSeekMoE, Dai et al. 2024). */
function mlpTensors(config: ModelConfig, path: string, layer: number): ExpectedTensor[] {
  const { hiddenSize: hidden, raw } = config
  const sizes = readDeepSeekExperts(readFields(raw))
  if (!hasExperts(sizes, layer)) return gatedMlp(path, hidden, config.intermediateSize)
  const { experts, chosen, shared, inner } = sizes
  // DeepSeek-V3's balancing without an auxiliary loss keeps one bias an expert.
  const bias: ExpectedTensor = { name: `${path}.gate.e_score_correction_bias`, shape: [experts], init: 'zeros' }
  const corrected = config.family === 'deepseek_v3' || raw.topk_method === 'noaux_tc'
  const routed = indices(experts).flatMap((expert) => gatedMlp(`${path}.experts.${expert}`, hidden, inner))
  return [
    matrix(`${path}.gate`, [experts, hidden]),
    ...(corrected ? [bias] : []),
    ...routedTo(routed, { experts, chosen }),
    ...(shared > 0 ? gatedMlp(`${path}.shared_experts`, hidden, inner * shared) : []),
  ]
}

function deepSeekTensors(config: ModelConfig): ExpectedTensor[] {
  const { hiddenSize: hidden, vocabularySize: vocabulary } = config
  const norm = (name: string): ExpectedTensor => ({ name: `${name}.weight`, shape: [hidden], init: 'ones' })
  const layer = (index: number) => {
    const path = `model.layers.${index}`
    return [
      norm(`${path}.input_layernorm`),
      ...attentionTensors(config, `${path}.self_attn`),
      norm(`${path}.post_attention_layernorm`),
      ...mlpTensors(config, `${path}.mlp`, index),
    ]
  }
  return [
    matrix('model.embed_tokens', [vocabulary, hidden]),
    ...indices(config.layers).flatMap(layer),
    norm('model.norm'),
    ...(config.tiedEmbeddings ? [] : [matrix('lm_head', [vocabulary, hidden])]),
  ]
}

/** The parts that both generations share. */
export const deepSeekShared = {
  tensors: deepSeekTensors,
  /** num_key_value_heads equals the query heads in these configs: the heads that the latent is decompressed into. */
  words({ heads, raw }: ModelConfig): ConfigWord[] {
    const evidence = `kv_lora_rank ${raw.kv_lora_rank}, qk_rope_head_dim ${raw.qk_rope_head_dim}`
    const count = raw.num_key_value_heads
    const byLatent: ConfigWord = { kind: 'MLA', evidence }
    if (typeof count !== 'number') return [byLatent]
    return [
      byLatent,
      { kind: count === heads ? 'MHA' : 'GQA', evidence: `num_key_value_heads ${count} of ${heads} heads` },
    ]
  },
  keyTensor: (layer: number): KeyTensor => ({
    name: `model.layers.${layer}.self_attn.kv_a_proj_with_mqa.weight`,
    axis: 0,
    holds: 'LATENT',
  }),
}
