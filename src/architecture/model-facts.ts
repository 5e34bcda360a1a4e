import { activeParameterCount } from './active-parameters.ts'
import { type DetectionVote, detectAttention } from './detect-attention.ts'
import type { ModelWarning } from './family.ts'
import type { KvHeadCopies } from './kv-head-copies.ts'
import type { Shapes } from './kv-heads-by-shape.ts'
import type { KvDtype } from './kv-values.ts'
import { valuesPerToken } from './kv-values.ts'
import { bytesByDtype, type LayerAttention, layerAttention, overallAttention } from './layer-attention.ts'
import type { AttentionKind, Family, ModelConfig } from './model-config.ts'
import { type ParameterPart, parametersByPart, sumOfParts } from './parameters.ts'

/** What GraphQL's `Model` shows, as plain JSON: it is stored with a run, so that reading a run opens no checkpoint. */
export interface ModelFacts {
  name: string
  family: Family
  attentionKind: AttentionKind
  layers: number
  heads: number
  /** null: MLA, or layers differ */
  kvHeads: number | null
  keyDim: number
  valueDim: number
  hiddenSize: number
  contextLength: number
  vocabularySize: number
  parameters: number
  /** absent in what was stored before it was counted */
  parameterParts?: ParameterPart[]
  /** those that one token is computed with: of experts the chosen ones'; absent likewise */
  activeParameters?: number
  /** bytes that one token of one sequence adds, for each dtype of the cache */
  kvBytesPerToken: Record<KvDtype, number>
  layerAttention: LayerAttention[]
  votes: DetectionVote[]
  warnings: ModelWarning[]
}

/**
 * Describes a model without running it. `shapes` are the tensors' shapes by name, or null where there is a config only.
 * Where config.json and the weights disagree, the weights are believed.
 * @param copies what the values of the K/V heads say; null where nobody looked at them
 * @throws AppError CHECKPOINT_INVALID where a shape makes no whole number of heads
 */
export function describeModel(
  config: ModelConfig,
  shapes: Shapes | null,
  copies: KvHeadCopies | null = null,
): ModelFacts {
  const { config: followed, votes, warnings } = detectAttention(config, shapes, copies)
  const { kind, kvHeads } = overallAttention(followed)
  const values = followed.attention.reduce((sum, shape) => sum + valuesPerToken(shape), 0)
  const parameterParts = parametersByPart(followed)
  return {
    name: config.name,
    family: config.family,
    attentionKind: kind,
    layers: config.layers,
    heads: config.heads,
    kvHeads,
    keyDim: followed.attention[0]?.keyDim ?? config.headDim,
    valueDim: followed.attention[0]?.valueDim ?? config.headDim,
    hiddenSize: config.hiddenSize,
    contextLength: config.contextLength,
    vocabularySize: config.vocabularySize,
    parameters: sumOfParts(config, parameterParts),
    parameterParts,
    activeParameters: activeParameterCount(followed),
    kvBytesPerToken: bytesByDtype(values),
    layerAttention: layerAttention(followed),
    votes,
    warnings,
  }
}
