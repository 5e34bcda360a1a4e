import type { Preset } from './preset.ts'

const falcon = { model_type: 'falcon', architectures: ['FalconForCausalLM'], initializer_range: 0.02 }
const bigCode = {
  model_type: 'gpt_bigcode',
  architectures: ['GPTBigCodeForCausalLM'],
  activation_function: 'gelu_pytorch_tanh',
  initializer_range: 0.02,
  layer_norm_epsilon: 1e-5,
  multi_query: true,
}
/** falcon-rw, 7b and 40b at gpt2's sizes, to run where the models themselves do not fit; not on the hub. */
const small = { ...falcon, hidden_size: 768, layer_norm_epsilon: 1e-5, num_attention_heads: 12, num_hidden_layers: 12 }
const rotary = { alibi: false, bias: false, multi_query: true, parallel_attn: true, vocab_size: 65024 }

/** Models whose query, K and V lie in one tensor: Falcon, GPT-BigCode and GPT-NeoX. */
export const fusedPresets: readonly Preset[] = [
  {
    name: 'falcon-rw-1b',
    config: {
      ...falcon,
      alibi: true,
      bias: true,
      hidden_size: 2048,
      layer_norm_epsilon: 1e-5,
      multi_query: false,
      new_decoder_architecture: false,
      num_attention_heads: 32,
      num_hidden_layers: 24,
      parallel_attn: false,
      torch_dtype: 'bfloat16',
      vocab_size: 50304,
    },
  },
  {
    // num_kv_heads is the hub's own: it contradicts multi_query, which transformers obeys.
    name: 'falcon-7b',
    config: {
      ...falcon,
      alibi: false,
      bias: false,
      hidden_size: 4544,
      layer_norm_epsilon: 1e-5,
      multi_query: true,
      new_decoder_architecture: false,
      num_attention_heads: 71,
      num_hidden_layers: 32,
      num_kv_heads: 71,
      parallel_attn: true,
      torch_dtype: 'bfloat16',
      vocab_size: 65024,
    },
  },
  {
    name: 'falcon-40b',
    config: {
      ...falcon,
      alibi: false,
      bias: false,
      hidden_size: 8192,
      layer_norm_epsilon: 1e-5,
      multi_query: true,
      new_decoder_architecture: true,
      num_attention_heads: 128,
      num_hidden_layers: 60,
      num_kv_heads: 8,
      parallel_attn: true,
      torch_dtype: 'bfloat16',
      vocab_size: 65024,
    },
  },
  {
    name: 'falcon-11b',
    config: {
      ...falcon,
      alibi: false,
      bias: false,
      ffn_hidden_size: 16384,
      hidden_size: 4096,
      layer_norm_epsilon: 1e-5,
      max_position_embeddings: 8192,
      multi_query: true,
      new_decoder_architecture: true,
      num_attention_heads: 32,
      num_hidden_layers: 60,
      num_kv_heads: 8,
      num_ln_in_parallel_attn: 1,
      parallel_attn: true,
      rope_theta: 500_042,
      tie_word_embeddings: false,
      torch_dtype: 'bfloat16',
      vocab_size: 65024,
    },
  },
  {
    name: 'falcon-rw-small',
    config: {
      ...small,
      alibi: true,
      bias: true,
      multi_query: false,
      new_decoder_architecture: false,
      parallel_attn: false,
      vocab_size: 50304,
    },
  },
  { name: 'falcon-7b-small', config: { ...small, ...rotary, new_decoder_architecture: false } },
  { name: 'falcon-40b-small', config: { ...small, ...rotary, new_decoder_architecture: true, num_kv_heads: 4 } },
  {
    name: 'pythia-14m',
    config: {
      model_type: 'gpt_neox',
      architectures: ['GPTNeoXForCausalLM'],
      hidden_act: 'gelu',
      hidden_size: 128,
      initializer_range: 0.02,
      intermediate_size: 512,
      layer_norm_eps: 1e-5,
      max_position_embeddings: 512,
      num_attention_heads: 4,
      num_hidden_layers: 6,
      rotary_emb_base: 10000,
      rotary_pct: 0.25,
      tie_word_embeddings: false,
      torch_dtype: 'float16',
      use_parallel_residual: true,
      vocab_size: 50304,
    },
  },
  {
    name: 'starcoder',
    config: { ...bigCode, n_embd: 6144, n_head: 48, n_inner: 24576, n_layer: 40, n_positions: 8192, vocab_size: 49152 },
  },
  {
    // vocab_size and n_positions from memory, not verified; the fused form is bigcode/gpt_bigcode-santacoder.
    name: 'santacoder',
    config: { ...bigCode, n_embd: 2048, n_head: 16, n_inner: 8192, n_layer: 24, n_positions: 2048, vocab_size: 49280 },
  },
  {
    name: 'tiny-starcoder-py',
    config: { ...bigCode, n_embd: 768, n_head: 12, n_inner: 3072, n_layer: 20, n_positions: 8192, vocab_size: 49152 },
  },
]
