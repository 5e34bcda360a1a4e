import { kindOf } from './attention-shape.ts'
import type { ConfigWord, ModelFamily } from './family.ts'
import { type Fields, readFields, unsupported, withDefaults } from './fields.ts'
import { gemmaActivation, gemmaDefaults, gemmaTensors, gemmaWindows, readGemma } from './gemma-layout.ts'
import { llamaShared } from './llama-layout.ts'
import type { ModelConfig } from './model-config.ts'

/** transformers' Gemma3TextConfig, whose values gemma-3-4b's config.json leaves out, sizes among them. */
const defaults = {
  ...gemmaDefaults,
  vocab_size: 262_208,
  hidden_size: 2304,
  intermediate_size: 9216,
  num_hidden_layers: 26,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  max_position_embeddings: 131_072,
  rope_theta: 1_000_000,
}

/**
 * Gemma 3 (Gemma Team 2025, "Gemma 3 Technical Report", section 2.1): Gemma 2 with norms of queries and keys in place of
 * its caps on scores, and for each layer that sees everything five with a window, which turn by a base of their own.
 * Of a checkpoint that also sees pictures the text part is read, whose config.json lies in `text_config`.
 */
export const gemma3: ModelFamily = {
  ...llamaShared,
  family: 'gemma3',
  runnable: true,
  modelTypes: ['gemma3_text', 'gemma3'],
  read(fields, name) {
    const text = fields.any('text_config') === undefined ? fields : textFields(fields)
    const full = withDefaults(text, defaults)
    const activation = text.text(gemmaActivation, 'hidden_activation')
    const config = readGemma(full, name, { family: 'gemma3', activation })
    const pattern = full.sizeOr(6, 'sliding_window_pattern')
    return { ...config, attention: gemmaWindows(config.attention, full, (layer) => (layer + 1) % pattern !== 0) }
  },
  tensors: (config) => gemmaTensors(config, { around: true, heads: true }),
  words,
  ignorable: () => [...llamaShared.ignorable(), /^(model\.)?(vision_tower|multi_modal_projector)\./],
  surprises({ name, raw }) {
    if (!seesPictures(raw)) return []
    return [
      {
        code: 'TEXT_PART_ONLY',
        message: `${name} also sees pictures; its text model is read and counted, and the tower that sees is not`,
        advice: 'Give it text. Its answers to text are those of the whole model.',
      },
    ]
  },
}

function words(config: ModelConfig): ConfigWord[] {
  if (config.raw.num_key_value_heads !== undefined) return llamaShared.words(config)
  const { num_key_value_heads: kvHeads } = defaults
  const evidence = `num_key_value_heads is absent: ${kvHeads} by the family's default, of ${config.heads} heads`
  return [{ kind: kindOf(config.heads, kvHeads), evidence }]
}

/** Whether a config.json that `textFields` made comes from a model with a tower for pictures. */
function seesPictures({ architectures, mm_tokens_per_image: tokens }: Record<string, unknown>): boolean {
  return (
    tokens !== undefined || (Array.isArray(architectures) && architectures.includes('Gemma3ForConditionalGeneration'))
  )
}

/** The text part as a config.json of its own: what stands around it and is not of pictures counts where it is silent. */
function textFields({ raw }: Fields): Fields {
  const { text_config: text, vision_config: _, ...around } = raw
  if (typeof text !== 'object' || text === null || Array.isArray(text)) {
    return unsupported('text_config', text, 'it must be an object')
  }
  return readFields({ ...around, ...text, model_type: 'gemma3_text' })
}
