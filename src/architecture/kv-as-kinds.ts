import { kindOf } from './attention-shape.ts'
import { overallAttention } from './layer-attention.ts'
import type { AttentionKind, AttentionShape, ModelConfig } from './model-config.ts'

/** The latent that DeepSeek-V2 chose, four heads' K and a half wide (DeepSeek-AI 2024, section 2.1.3). */
const deepSeekLatent = { rank: 512, ropeDim: 64 } as const

export interface AsKind {
  label: string
  kind: AttentionKind
  kvHeads: number | null
  attention: AttentionShape[]
}

/**
 * The same model with other K/V heads, from most to least sharing: MHA, GQA with 8 and 4 K/V heads where the query
 * heads divide, the model's own number, MQA, MLA. Layers, windows and head dims stay. For a model with MLA a head's key is
 * its 128 values without the rotary 64, as the lecture counts DeepSeek "as MHA"; its MLA is its own. For others MLA is
 * DeepSeek-V2's latent.
 */
export function asKinds(config: Pick<ModelConfig, 'attention' | 'heads'>): AsKind[] {
  const { heads, attention } = config
  const own = overallAttention(config).kvHeads
  const counts = [heads, 8, 4, own ?? 1, 1].filter((count) => count <= heads && heads % count === 0)
  const latent = attention[0]?.latent ?? deepSeekLatent

  const withHeads = [...new Set(counts)]
    .sort((a, b) => b - a)
    .map((kvHeads): AsKind => {
      const kind = kindOf(heads, kvHeads)
      const shapes = attention.map((shape) => ({
        ...shape,
        kind,
        kvHeads,
        keyDim: shape.latent ? shape.keyDim - shape.latent.ropeDim : shape.keyDim,
        latent: null,
      }))
      const [first] = shapes
      const name = kind === 'GQA' ? `GQA-${kvHeads}` : kind
      const note = attention[0]?.latent ? ', without the rotary key, as the lecture counts' : ''
      const label = `${name} (${kvHeads} KV head${kvHeads > 1 ? 's' : ''} of ${first?.keyDim} + ${first?.valueDim}${note})`
      return { label, kind, kvHeads, attention: shapes }
    })
  const foreign = attention[0]?.latent ? '' : ", DeepSeek-V2's latent"
  return [
    ...withHeads,
    {
      label: `MLA (${latent.rank} + ${latent.ropeDim}${foreign})`,
      kind: 'MLA',
      kvHeads: null,
      attention: attention.map((shape) => ({ ...shape, kind: 'MLA', kvHeads: null, latent: { ...latent } })),
    },
  ]
}
