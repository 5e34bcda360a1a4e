import { unsupported } from './fields.ts'
import type { AttentionKind, AttentionShape } from './model-config.ts'

/** MHA, GQA or MQA by the number of K/V heads (Ainslie et al. 2023, figure 2); one head of one is MHA. */
export function kindOf(heads: number, kvHeads: number): AttentionKind {
  if (kvHeads === heads) return 'MHA'
  return kvHeads === 1 ? 'MQA' : 'GQA'
}

/** Attention with K/V heads of equal key and value width. @throws AppError CONFIG_UNSUPPORTED where heads do not divide */
export function headsShape(sizes: { heads: number; kvHeads: number; headDim: number; field: string }): AttentionShape {
  const { heads, kvHeads, headDim, field } = sizes
  if (heads % kvHeads !== 0) unsupported(field, kvHeads, `${heads} query heads do not divide into ${kvHeads} KV groups`)
  return { kind: kindOf(heads, kvHeads), kvHeads, keyDim: headDim, valueDim: headDim, window: null, latent: null }
}

/** `shape` once for each layer, each its own object. */
export function everyLayer(layers: number, shape: AttentionShape): AttentionShape[] {
  return Array.from({ length: layers }, () => ({ ...shape }))
}
