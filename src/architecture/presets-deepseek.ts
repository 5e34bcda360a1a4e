import type { Preset } from './preset.ts'

const shared = {
  attention_bias: false,
  hidden_act: 'silu',
  initializer_range: 0.02,
  kv_lora_rank: 512,
  moe_layer_freq: 1,
  qk_nope_head_dim: 128,
  qk_rope_head_dim: 64,
  rms_norm_eps: 1e-6,
  rope_theta: 10000,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  v_head_dim: 128,
}

const v2 = {
  ...shared,
  model_type: 'deepseek_v2',
  architectures: ['DeepseekV2ForCausalLM'],
  norm_topk_prob: false,
  scoring_func: 'softmax',
  vocab_size: 102400,
}

/** The hub's 0.707 is no square root of one half. */
const lessScale = 707 / 1000

const yarn = {
  beta_fast: 32,
  beta_slow: 1,
  factor: 40,
  original_max_position_embeddings: 4096,
  type: 'yarn',
}

/** DeepSeek's models with MLA: deepseek-ai on the hub. */
export const deepSeekPresets: readonly Preset[] = [
  {
    // max_position_embeddings from memory, not verified; hub files are said to hold 163840 with a context of 32K.
    name: 'deepseek-v2-lite',
    config: {
      ...v2,
      first_k_dense_replace: 1,
      hidden_size: 2048,
      intermediate_size: 10944,
      max_position_embeddings: 32768,
      moe_intermediate_size: 1408,
      n_routed_experts: 64,
      n_shared_experts: 2,
      num_attention_heads: 16,
      num_experts_per_tok: 6,
      num_hidden_layers: 27,
      num_key_value_heads: 16,
      q_lora_rank: null,
      topk_method: 'greedy',
      rope_scaling: { ...yarn, mscale: lessScale, mscale_all_dim: lessScale },
    },
  },
  {
    // max_position_embeddings from memory, not verified.
    name: 'deepseek-v2',
    config: {
      ...v2,
      first_k_dense_replace: 1,
      hidden_size: 5120,
      intermediate_size: 12288,
      max_position_embeddings: 131072,
      moe_intermediate_size: 1536,
      n_group: 8,
      n_routed_experts: 160,
      n_shared_experts: 2,
      num_attention_heads: 128,
      num_experts_per_tok: 6,
      num_hidden_layers: 60,
      num_key_value_heads: 128,
      q_lora_rank: 1536,
      rope_scaling: { ...yarn, mscale: lessScale, mscale_all_dim: lessScale },
      routed_scaling_factor: 16,
      topk_group: 3,
      topk_method: 'group_limited_greedy',
    },
  },
  {
    name: 'deepseek-v3',
    config: {
      ...shared,
      model_type: 'deepseek_v3',
      architectures: ['DeepseekV3ForCausalLM'],
      first_k_dense_replace: 3,
      hidden_size: 7168,
      intermediate_size: 18432,
      max_position_embeddings: 163840,
      moe_intermediate_size: 2048,
      n_group: 8,
      n_routed_experts: 256,
      n_shared_experts: 1,
      num_attention_heads: 128,
      num_experts_per_tok: 8,
      num_hidden_layers: 61,
      num_key_value_heads: 128,
      q_lora_rank: 1536,
      norm_topk_prob: true,
      rope_scaling: { ...yarn, mscale: 1, mscale_all_dim: 1 },
      routed_scaling_factor: 2.5,
      scoring_func: 'sigmoid',
      topk_group: 4,
      topk_method: 'noaux_tc',
      vocab_size: 129280,
    },
  },
]
