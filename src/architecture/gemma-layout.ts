import { type Fields, unsupported } from './fields.ts'
import { llamaTensors, readLlamaLike } from './llama-layout.ts'
import type { AttentionShape, ExpectedTensor, Family, ModelConfig } from './model-config.ts'
import { withWindows } from './windows.ts'

/** What config.json may leave out in every generation (transformers' GemmaConfig and its successors). */
export const gemmaDefaults = { head_dim: 256, tie_word_embeddings: true, max_position_embeddings: 8192 } as const

/** The tanh form of GELU, which all generations were trained with. */
export const gemmaActivation = 'gelu_pytorch_tanh'

/** Reads a config.json of any generation of Gemma; windows are left to the family. */
export function readGemma(
  fields: Fields,
  name: string,
  { family, activation }: { family: Family; activation: string },
): ModelConfig {
  return { ...readLlamaLike(fields, name, family), activation }
}

/**
 * Windows of the generations that have them; config.json may be silent about their size, but not say that there is none.
 * @param slides where `layer_types` does not say it
 */
export function gemmaWindows(
  attention: readonly AttentionShape[],
  fields: Fields,
  slides: (layer: number) => boolean,
): AttentionShape[] {
  if (fields.raw.sliding_window === null && fields.any('layer_types') === undefined) {
    unsupported('sliding_window', null, 'layers of this family slide by it')
  }
  return withWindows(attention, fields, slides, 4096)
}

/** Norms before and after attention, before and after the MLP (Gemma Team 2024, "Gemma 2", table 1). */
const fourNorms = [
  'input_layernorm',
  'post_attention_layernorm',
  'pre_feedforward_layernorm',
  'post_feedforward_layernorm',
] as const

/**
 * Llama's tensors; the gains of norms are stored less 1 and start at zero.
 * @param norms around: behind each part of a layer too; heads: of each query and key
 */
export function gemmaTensors(config: ModelConfig, norms: { around: boolean; heads: boolean }): ExpectedTensor[] {
  const bias = config.raw.attention_bias === true
  return llamaTensors(
    config,
    { qkv: bias, output: bias, mlp: false },
    { init: 'zeros', heads: norms.heads, ...(norms.around ? { layer: fourNorms } : {}) },
  )
}
