import { type Fields, unsupported } from './fields.ts'
import type { AttentionShape } from './model-config.ts'

/**
 * Gives the layers their sliding windows. `layer_types` (transformers since 4.53) says it layer by layer; without it
 * every layer for which `slides` holds has the window of `sliding_window`, null meaning none.
 * @param absent the family's window where config.json has no `sliding_window` at all
 * @throws AppError CONFIG_UNSUPPORTED for a layer type that is neither full nor sliding attention
 */
export function withWindows(
  attention: readonly AttentionShape[],
  fields: Fields,
  slides: (layer: number) => boolean,
  absent: number | null = null,
): AttentionShape[] {
  const silent = fields.raw.sliding_window === undefined ? absent : null
  const window = fields.any('sliding_window') === undefined ? silent : fields.size('sliding_window')
  const types = fields.any('layer_types')
  if (types !== undefined && (!Array.isArray(types) || types.length !== attention.length)) {
    return unsupported('layer_types', types, `it must list the ${attention.length} layers`)
  }
  return attention.map((shape, layer) => {
    const type: unknown = types?.[layer] ?? (window !== null && slides(layer) ? 'sliding_attention' : 'full_attention')
    if (type === 'full_attention') return { ...shape, window: null }
    if (type !== 'sliding_attention') return unsupported(`layer_types[${layer}]`, type, 'no such attention is known')
    return { ...shape, window: window ?? unsupported('sliding_window', null, `layer ${layer} slides by it`) }
  })
}
