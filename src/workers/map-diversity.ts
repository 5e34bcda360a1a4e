import { readFalconForm } from '../architecture/falcon-form.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import { alibiSlopes } from '../heads/alibi-baseline.ts'
import type { ComparedHead, DiversityOptions } from '../heads/diversity.ts'
import { type DiversityAccumulator, startDiversity, whyNoDiversity } from '../heads/layer-diversity.ts'
import { profileExtent } from '../heads/position-baseline.ts'

export interface ComparedMaps {
  config: ModelConfig
  layers: readonly number[]
  heads: readonly ComparedHead[]
  prompts: DiversityOptions['prompts']
  baselines: boolean
}

/** Starts to compare the heads of a run's maps; null where they cannot be (`whyNoDiversity`), or are not to be. */
export function compareMaps({ config, layers, heads, prompts, baselines }: ComparedMaps): DiversityAccumulator | null {
  const lengths = prompts.map(({ tokens }) => tokens)
  if (whyNoDiversity(heads.length, lengths) !== null) return null
  return startDiversity({
    layers,
    heads,
    prompts,
    baselines,
    alibiSlopes: baselines ? slopesOf(config) : null,
    window: (layer) => config.attention[layer]?.window ?? null,
  })
}

/** Bytes that comparing holds until the end: sums over pairs of heads, and with baselines the position profiles. */
export function diversityBytes(
  { diversity, baselines }: { diversity: boolean; baselines: boolean },
  layers: number,
  heads: number,
  lengths: readonly number[],
): number {
  if (!diversity) return 0
  const { tokens, prompts } = baselines ? profileExtent(layers, heads, lengths) : { tokens: 0, prompts: 0 }
  const sums = layers * heads * (7 * heads + 20 * lengths.length) * 8
  return sums + layers * heads * prompts * ((tokens * (tokens + 1)) / 2) * 4
}

/** ALiBi's slopes as they stand in the softmax; Falcon scales its biases with the scores. Null where there is no ALiBi. */
function slopesOf(config: ModelConfig): Float64Array | null {
  if (config.family !== 'falcon' || !readFalconForm(config.raw).alibi) return null
  return alibiSlopes(config.heads).map((slope) => slope / Math.sqrt(config.headDim))
}
