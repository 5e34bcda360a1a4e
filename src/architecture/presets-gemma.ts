import type { Preset } from './preset.ts'

const shared = {
  attention_bias: false,
  bos_token_id: 2,
  eos_token_id: 1,
  head_dim: 256,
  hidden_activation: 'gelu_pytorch_tanh',
  initializer_range: 0.02,
  num_hidden_layers: 26,
  pad_token_id: 0,
  query_pre_attn_scalar: 256,
  rms_norm_eps: 1e-6,
  torch_dtype: 'bfloat16',
}

/** Gemma's generations with windows: google on the hub. */
export const gemmaPresets: readonly Preset[] = [
  {
    name: 'gemma-2-2b',
    config: {
      ...shared,
      model_type: 'gemma2',
      architectures: ['Gemma2ForCausalLM'],
      attn_logit_softcapping: 50,
      cache_implementation: 'hybrid',
      final_logit_softcapping: 30,
      hidden_act: 'gelu_pytorch_tanh',
      hidden_size: 2304,
      intermediate_size: 9216,
      max_position_embeddings: 8192,
      num_attention_heads: 8,
      num_key_value_heads: 4,
      rope_theta: 10000,
      sliding_window: 4096,
      vocab_size: 256000,
    },
  },
  {
    name: 'gemma-3-1b',
    config: {
      ...shared,
      model_type: 'gemma3_text',
      architectures: ['Gemma3ForCausalLM'],
      attn_logit_softcapping: null,
      cache_implementation: 'hybrid',
      final_logit_softcapping: null,
      hidden_size: 1152,
      intermediate_size: 6912,
      max_position_embeddings: 32768,
      num_attention_heads: 4,
      num_key_value_heads: 1,
      rope_local_base_freq: 10000,
      rope_scaling: null,
      rope_theta: 1000000,
      sliding_window: 512,
      sliding_window_pattern: 6,
      vocab_size: 262144,
    },
  },
]
