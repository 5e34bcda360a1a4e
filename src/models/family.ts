import type { Family, ModelConfig } from '../architecture/model-config.ts'
import type { GraphBuilder, Value } from '../onnx/graph.ts'
import type { AttentionSpec } from './attention.ts'
import type { LatentInputs, LatentSpec } from './mla.ts'

/** What a family's file builds its graph with. B batch, S new tokens. */
export interface ModelBuilder {
  readonly config: ModelConfig
  readonly graph: GraphBuilder
  /** [B, S] int64 token ids */
  readonly tokens: Value
  /** [S] int64 positions of the new tokens, the same in every sequence of the batch */
  readonly positions: Value
  /** [P + S] int64 positions of all keys that the new tokens may see; P cached rows */
  keyPositions(): Value
  /**
   * A tensor of the checkpoint, in float32.
   * @throws AppError CHECKPOINT_INVALID if it is missing or of another shape
   */
  weight(name: string, shape: readonly number[]): Value
  /** Attention of one layer over its cached and its new tokens; the new keys and values join the cache. */
  attend(g: GraphBuilder, layer: number, spec: AttentionSpec, heads: NewHeads): Value // [B, H, S, valueDim]
  /** The same of a layer that caches a latent (MLA); the new latents and rotary keys join the cache. */
  attendLatent(g: GraphBuilder, layer: number, spec: LatentSpec, inputs: Omit<LatentInputs, 'cached'>): Value
}

export interface NewHeads {
  query: Value // [B, H, S, keyDim]
  key: Value // [B, KV, S, keyDim]
  value: Value // [B, KV, S, valueDim]
  /** [1, H, 1, P + S], added to the scaled scores */
  bias?: Value
}

/** How one family turns tokens into logits. A new family is one file with one of these, and a line in registry.ts. */
export interface ModelFamily {
  readonly family: Family
  /** @throws AppError CONFIG_UNSUPPORTED naming the field that asks for what the graph does not do */
  check(config: ModelConfig): void
  /** Token and position ids -> the last layer's hidden state, [B, S, hiddenSize]. */
  hidden(model: ModelBuilder): Value
  /** Hidden state -> logits over the vocabulary, for each position given. */
  logits(model: ModelBuilder, hidden: Value): Value
}
