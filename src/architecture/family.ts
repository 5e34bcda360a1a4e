import type { Fields } from './fields.ts'
import type { AttentionKind, ExpectedTensor, Family, ModelConfig } from './model-config.ts'

/** What misleads about a model, and what to do about it. */
export interface ModelWarning {
  code: string
  message: string
  advice: string
}

/** What config.json's words say of the attention kind, read by one of its fields. */
export interface ConfigWord {
  kind: AttentionKind
  evidence: string
}

/** The tensor whose shape shows how many K/V heads a layer has. */
export interface KeyTensor {
  name: string
  /** the dimension that counts heads */
  axis: 0 | 1
  /** QKV: query, K and V rows of all heads in one tensor; K: keys alone; LATENT: MLA's compressed K/V and rotary key */
  holds: 'QKV' | 'K' | 'LATENT'
  /** QKV only: for each K/V head its query heads, its key, its value; absent: all queries, all keys, all values */
  grouped?: true
}

/** All that kvscope knows of a family without running it. A new family is one such file and its line in families.ts. */
export interface ModelFamily {
  family: Family
  /** the engine has a graph for it (models/registry.ts); sizes can be looked at without */
  runnable?: true
  /** values of config.json's model_type */
  modelTypes: readonly string[]
  /** @throws AppError CONFIG_UNSUPPORTED naming the field that ModelConfig cannot represent */
  read(fields: Fields, name: string): ModelConfig
  /** every tensor a checkpoint holds, in the hub's names (without `transformer.`) and layouts */
  tensors(config: ModelConfig): ExpectedTensor[]
  /** what each field of config.json that speaks of K/V heads says; the field that transformers obeys comes first */
  words(config: ModelConfig): ConfigWord[]
  keyTensor(layer: number): KeyTensor
  /** the same config.json with other K/V heads; absent where the family's config.json cannot say it */
  withKvHeads?(raw: Record<string, unknown>, kvHeads: number): Record<string, unknown>
  /** tensors of hub files that carry no weight of their own: masks, tables, copies */
  ignorable(config: ModelConfig): readonly RegExp[]
  /** what is true of this config and surprises those who know the family */
  surprises?(config: ModelConfig): ModelWarning[]
}
