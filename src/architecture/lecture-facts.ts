import { asKinds } from './kv-as-kinds.ts'
import { kvCacheBytes } from './kv-bytes.ts'
import { kvFactors } from './kv-factors.ts'
import type { AttentionKind, ModelConfig } from './model-config.ts'
import { findPreset } from './presets.ts'
import { readModelConfig } from './read-config.ts'

/** What becomes of a claim of the lecture when it is recomputed: GraphQL's `LectureClaim`. */
export interface LectureClaim {
  /** as it was said or written */
  claim: string
  /** what must be assumed for it; null: nothing */
  assumption: string | null
  verdict: 'HOLDS' | 'HOLDS_IF' | 'FAILS'
  recomputed: string
  /** a command or a query that shows it */
  seeItWith: string
}

/** The models that the lecture speaks of. */
export interface LectureModels {
  gpt3: ModelConfig
  deepSeek: ModelConfig
  gpt2Medium: ModelConfig
  /** the "falcon 1 billion parameter model" */
  falcon: ModelConfig
}

export function readLectureModels(): LectureModels {
  const read = (name: string) => readModelConfig(findPreset(name).config, name)
  return {
    gpt3: read('gpt3-175b'),
    deepSeek: read('deepseek-v3'),
    gpt2Medium: read('gpt2-medium'),
    falcon: read('falcon-rw-1b'),
  }
}

/** Nine words, and with GPT-2's encoding nine tokens. */
export const lecturePrompt = 'the quick brown fox jumps over the lazy dog'

/** Tokens at which the lecture's sizes come out: it names none. */
export const lectureTokens = { gpt3: 1024, deepSeek: 100_000 } as const

/** Seconds of one forward pass each, as the lecture read them off. */
export const lectureSeconds = { gpt2Medium: 1.62, falcon: 0.64 } as const

/** The KV cache of a model whose heads are shared in one way, one sequence, two bytes a value. */
export interface LectureCache {
  kind: AttentionKind
  /** null for MLA, where one latent serves all heads */
  kvHeads: number | null
  layers: number
  /** width of a head's key; for MLA the values cached a token and layer */
  width: number
  tokens: number
  bytes: number
  bytesPerToken: number
  /** the factors, multiplied: `96 x 1 x 96 x 128 x 2 x 1,024 x 2` */
  product: string
}

/**
 * The cache of a model as it is, or as if its heads were shared in another way.
 * @throws Error where the model has no such form
 */
export function lectureCache(config: ModelConfig, kind: AttentionKind, tokens: number): LectureCache {
  const as = asKinds(config).find((each) => each.kind === kind)
  const shape = as?.attention[0]
  if (as === undefined || shape === undefined) throw new Error(`${config.name} has no form as ${kind}`)
  const sizes = { contextLength: tokens, batch: 1, bitsPerValue: 16, tensorParallel: 1 }
  const bytes = kvCacheBytes(as, sizes)
  return {
    kind,
    kvHeads: as.kvHeads,
    layers: config.layers,
    width: shape.latent === null ? shape.keyDim : shape.latent.rank + shape.latent.ropeDim,
    tokens,
    bytes,
    bytesPerToken: kvCacheBytes(as, { ...sizes, contextLength: 1 }),
    product: kvFactors(as, sizes)
      .map(({ value }) => value.toLocaleString('en-US'))
      .join(' x '),
  }
}
