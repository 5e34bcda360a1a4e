import { kindOf } from './attention-shape.ts'
import { overallAttention } from './layer-attention.ts'
import type { AttentionKind, AttentionShape, ModelConfig } from './model-config.ts'

/** The latent that DeepSeek-V2 chose, four heads' K and a half wide (DeepSeek-AI 2024, section 2.1.3). */
const deepSeekLatent = { rank: 512, ropeDim: 64 } as const

export interface AsKind {
  label: string
  /** what "the same model" means: what changes and what stays */
  meaning: string
  kind: AttentionKind
  kvHeads: number | null
  attention: AttentionShape[]
}

/**
 * The same model with other K/V heads, from most to least sharing: MHA, GQA with 8 and 4 K/V heads where the query
 * heads divide, the model's own number, MQA, MLA. Layers, windows and head dims stay. For a model with MLA a head's key is
 * its 128 values without the rotary 64, as the lecture counts DeepSeek "as MHA" (256 values a head); MHA is shown a second
 * time with the whole key of 192 (320 values). Its MLA is its own; for others MLA is DeepSeek-V2's latent.
 */
export function asKinds(config: Pick<ModelConfig, 'attention' | 'heads'>): AsKind[] {
  const { heads, attention } = config
  const own = overallAttention(config).kvHeads
  const counts = [heads, 8, 4, own ?? 1, 1].filter((count) => count <= heads && heads % count === 0)
  const [first] = attention
  const latent = first?.latent ?? deepSeekLatent

  const withHeads = [...new Set(counts)]
    .sort((a, b) => b - a)
    .flatMap((kvHeads): AsKind[] => {
      if (!first?.latent) return [withKvHeads(config, kvHeads, false)]
      const asLecture = withKvHeads(config, kvHeads, false)
      return kvHeads === heads ? [asLecture, withKvHeads(config, kvHeads, true)] : [asLecture]
    })
  return [
    ...withHeads,
    {
      label: `MLA (${latent.rank} + ${latent.ropeDim}${first?.latent ? '' : ", DeepSeek-V2's latent"})`,
      meaning: first?.latent
        ? 'as it is: one latent and one rotary key for all heads of a layer'
        : `every layer caches a latent of ${latent.rank} and a rotary key of ${latent.ropeDim} for all heads; layers and windows stay, but such a model has other weights`,
      kind: 'MLA',
      kvHeads: null,
      attention: attention.map((shape) => ({ ...shape, kind: 'MLA', kvHeads: null, latent: { ...latent } })),
    },
  ]
}

/** @param rotary of MLA: whether a head's key keeps its share of the rotary key */
function withKvHeads(
  { attention, heads }: Pick<ModelConfig, 'attention' | 'heads'>,
  kvHeads: number,
  rotary: boolean,
): AsKind {
  const kind = kindOf(heads, kvHeads)
  const shapes = attention.map((shape) => ({
    ...shape,
    kind,
    kvHeads,
    keyDim: shape.latent && !rotary ? shape.keyDim - shape.latent.ropeDim : shape.keyDim,
    latent: null,
  }))
  const { keyDim = 0, valueDim = 0 } = shapes[0] ?? {}
  const name = kind === 'GQA' ? `GQA-${kvHeads}` : kind
  const ofLatent = attention[0]?.latent ? (rotary ? ', with the rotary key' : ', without the rotary key') : ''
  const shownNote = kind === 'MHA' ? ofLatent : ''
  const isOwn = attention.every((shape) => shape.latent === null && shape.kvHeads === kvHeads)
  return {
    label: `${name} (${kvHeads} KV head${kvHeads > 1 ? 's' : ''} of ${keyDim} + ${valueDim}${shownNote})`,
    meaning: isOwn ? 'as it is' : meaningOf({ heads, kvHeads, values: keyDim + valueDim, ofLatent }),
    kind,
    kvHeads,
    attention: shapes,
  }
}

function meaningOf(as: { heads: number; kvHeads: number; values: number; ofLatent: string }): string {
  const { heads, kvHeads, values, ofLatent } = as
  const readers = heads / kvHeads
  const share = readers === 1 ? 'every query head has a K/V head' : `${readers} query heads share a K/V head`
  const note = ofLatent === ', without the rotary key' ? ', as the lecture counts' : ''
  return `${share}, ${values} values each${ofLatent}${note}; layers, query heads, head dims and windows stay`
}
