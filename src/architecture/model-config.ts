/** How query heads share K/V heads: one each, a group, all, or a latent that every head decompresses. */
export type AttentionKind = 'MHA' | 'GQA' | 'MQA' | 'MLA'

/** Families whose config.json kvscope can read. Which of them the engine can run is src/models/registry's to say. */
export type Family =
  | 'gpt2'
  | 'gpt_bigcode'
  | 'gpt_neo'
  | 'gpt_neox'
  | 'falcon'
  | 'llama'
  | 'mistral'
  | 'starcoder2'
  | 'phi'
  | 'phi3'
  | 'olmo2'
  | 'mixtral'
  | 'qwen2'
  | 'qwen3'
  | 'gemma'
  | 'gemma2'
  | 'gemma3'
  | 'deepseek_v2'
  | 'deepseek_v3'

/** What one layer's attention caches. */
export interface AttentionShape {
  kind: AttentionKind
  /** K/V heads; null for MLA, which caches a latent instead */
  kvHeads: number | null
  /** width of one head's query and key */
  keyDim: number
  /** width of one head's value */
  valueDim: number
  /** tokens the layer can look back; null: all */
  window: number | null
  /** MLA only: kv_lora_rank and the width of the shared rotary key */
  latent: { rank: number; ropeDim: number } | null
}

/** A config.json read into one form. Plain and serialisable. */
export interface ModelConfig {
  family: Family
  /** the checkpoint's own name where it has one, else the folder's or the preset's */
  name: string
  layers: number
  hiddenSize: number
  intermediateSize: number
  heads: number
  /** head dim of query and key */
  headDim: number
  /** one entry a layer */
  attention: AttentionShape[]
  vocabularySize: number
  contextLength: number
  tiedEmbeddings: boolean
  normEpsilon: number
  /** standard deviation of the family's initialiser, for synthetic weights */
  initializerRange: number
  /** GPT-2's activation or the like, in config.json's spelling */
  activation: string
  /** base of the rotary embedding; null where the family has none */
  ropeTheta: number | null
  /** the config.json itself, or its text part where it nests one, for what only one family knows */
  raw: Record<string, unknown>
}

/** How many of a layer's experts a token goes through. */
export interface RoutedExperts {
  experts: number
  chosen: number
}

/** A tensor that a checkpoint of this config must hold, and how the family's initialiser draws it. */
export interface ExpectedTensor {
  name: string
  shape: number[]
  /** normal: N(0, initializerRange²); residual: N(0, initializerRange² / 2 layers), GPT-2's scaled projections */
  init: 'normal' | 'residual' | 'zeros' | 'ones'
  /** a routed expert's, of which a token goes through `chosen` */
  routed?: RoutedExperts
}
