import type { Preset } from './preset.ts'

function gpt2(name: string, sizes: { n_layer: number; n_head: number; n_embd: number; n_positions?: number }): Preset {
  const { n_positions = 1024, ...rest } = sizes
  return {
    name,
    config: {
      model_type: 'gpt2',
      architectures: ['GPT2LMHeadModel'],
      activation_function: 'gelu_new',
      initializer_range: 0.02,
      layer_norm_epsilon: 1e-5,
      ...rest,
      n_ctx: n_positions,
      n_positions,
      vocab_size: 50257,
      bos_token_id: 50256,
      eos_token_id: 50256,
    },
  }
}

const medium = { n_layer: 24, n_head: 16, n_embd: 1024 }

export const gpt2Presets: readonly Preset[] = [
  gpt2('gpt2', { n_layer: 12, n_head: 12, n_embd: 768 }),
  gpt2('gpt2-medium', medium),
  // Not on the hub: gpt2-medium with room for depth, to measure decode where the KV cache is long.
  gpt2('gpt2-medium-4k', { ...medium, n_positions: 4096 }),
  gpt2('gpt2-xl', { n_layer: 48, n_head: 25, n_embd: 1600 }),
  {
    name: 'gpt-neo-125m',
    config: {
      model_type: 'gpt_neo',
      architectures: ['GPTNeoForCausalLM'],
      activation_function: 'gelu_new',
      attention_types: [[['global', 'local'], 6]],
      hidden_size: 768,
      initializer_range: 0.02,
      intermediate_size: null,
      layer_norm_epsilon: 1e-5,
      max_position_embeddings: 2048,
      num_heads: 12,
      num_layers: 12,
      vocab_size: 50257,
      window_size: 256,
      bos_token_id: 50256,
      eos_token_id: 50256,
    },
  },
  // Never published as a checkpoint; the sizes are table 2.1 of Brown et al. 2020, in GPT-2's form.
  gpt2('gpt3-175b', { n_layer: 96, n_head: 96, n_embd: 12288, n_positions: 2048 }),
]
