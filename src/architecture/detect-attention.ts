import { expectedTensors } from './expected-tensors.ts'
import { familyOf } from './families.ts'
import type { ModelWarning } from './family.ts'
import type { KvHeadCopies } from './kv-head-copies.ts'
import { followShapes, readShape, type Shapes } from './kv-heads-by-shape.ts'
import { overallAttention } from './layer-attention.ts'
import type { AttentionKind, ModelConfig } from './model-config.ts'

/** What one source says of the attention kind, and by which field or tensor. */
export interface DetectionVote {
  by: 'CONFIG' | 'SHAPES' | 'VALUES'
  kind: AttentionKind
  evidence: string
}

export interface Detection {
  /** the config, with the K/V heads of the weights where they could be seen */
  config: ModelConfig
  votes: DetectionVote[]
  warnings: ModelWarning[]
}

/** The tensor that would show it, for a config without weights. */
function expectedEvidence(config: ModelConfig): string {
  const { name } = familyOf(config).keyTensor(0)
  const shape = expectedTensors({ ...config, layers: 1 }).find((tensor) => tensor.name === name)?.shape
  return shape ? `; ${name} would be [${shape.join(', ')}]` : ''
}

/** K/V heads that could be fewer: the cache repeats what it holds. */
function copiesWarning({ stored, distinct, evidence, kind }: KvHeadCopies): ModelWarning {
  return {
    code: 'HEADS_ARE_COPIES',
    message: `${evidence}: by its values this is ${kind} with ${distinct} K/V heads, stored and cached as ${stored}`,
    advice: `--kv-heads ${distinct} pools equal heads, which changes no answer, and caches 1/${stored / distinct} of the bytes.`,
  }
}

/**
 * Votes on the attention kind. Each field of config.json that speaks of K/V heads has a vote, the one that transformers
 * obeys first; the weights' shapes have one, and their values where somebody looked. Where they disagree the shapes win,
 * for they are what is cached, and a warning names what misleads.
 * @param shapes of the tensors by name; null where there is a config only
 * @param copies what the values of a layer say; null where nobody looked
 * @throws AppError CHECKPOINT_INVALID where a shape makes no whole number of heads
 */
export function detectAttention(
  config: ModelConfig,
  shapes: Shapes | null,
  copies: KvHeadCopies | null = null,
): Detection {
  const family = familyOf(config)
  const followed = shapes ? followShapes(config, shapes) : config
  const reading = shapes ? readShape(config, shapes, 0) : null
  const { kind } = overallAttention(followed)

  const words = family.words(config).map((word): DetectionVote => ({ by: 'CONFIG', ...word }))
  const [first, ...others] = words
  if (first && !reading) first.evidence += expectedEvidence(config)
  const votes = reading
    ? [...words, { by: 'SHAPES' as const, kind: reading.shape.kind, evidence: reading.evidence }]
    : words
  if (copies) votes.push({ by: 'VALUES', kind: copies.kind, evidence: copies.evidence })

  const warnings = others
    .filter((vote) => vote.kind !== kind)
    .map((vote) => ({
      code: 'CONFIG_MISLEADS',
      message: `config.json says ${vote.evidence}, which reads as ${vote.kind}; the model is ${kind}`,
      advice: 'Tools that go by this field alone get the KV cache wrong.',
    }))
  const disputed = config.attention.findIndex((shape, layer) => shape.kvHeads !== followed.attention[layer]?.kvHeads)
  if (shapes && disputed >= 0) {
    const stated = config.attention[disputed]
    warnings.unshift({
      code: 'SHAPES_DISAGREE',
      message:
        `config.json says ${first?.evidence ?? 'otherwise'}, ${stated?.kvHeads} K/V heads in layer ${disputed}; the ` +
        `weights show ${followed.attention[disputed]?.kvHeads}: ${readShape(config, shapes, disputed)?.evidence}`,
      advice: 'The weights are believed. Mend config.json before the model is run.',
    })
  }
  if (copies && copies.distinct < copies.stored) warnings.push(copiesWarning(copies))
  return { config: followed, votes, warnings: [...warnings, ...(family.surprises?.(followed) ?? [])] }
}
