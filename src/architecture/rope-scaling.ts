import { shown, unsupported } from './fields.ts'

/**
 * How a rotary embedding is stretched beyond the length that a model was trained with, every default filled in:
 * linear     positions are divided by the factor (Chen et al. 2023, "Extending Context Window ... via Positional Interpolation")
 * dynamic    the base grows with what has been read beyond `trainedLength` (NTK-aware, Peng et al. 2023, appendix A.2)
 * yarn       fast frequencies stay, slow ones are divided, between them a ramp (Peng et al. 2023, section 3.2)
 * llama3     the same idea by wavelengths, Llama 3.1's own (Grattafiori et al. 2024, section 3.4)
 * longrope   a divisor for each frequency, others beyond `originalLength` (Ding et al. 2024, section 3)
 * Lengths are in tokens. `attentionFactor` multiplies cosines and sines, and so scores by its square.
 */
export type RopeScaling =
  | { type: 'linear'; factor: number }
  | { type: 'dynamic'; factor: number; trainedLength: number }
  | {
      type: 'yarn'
      factor: number
      originalLength: number
      attentionFactor: number
      /** rotations within `originalLength` above which a frequency stays, and below which it is divided */
      betaFast: number
      betaSlow: number
      /** whether the ends of the ramp are whole numbers of frequencies */
      truncate: boolean
      /** as config.json says them; DeepSeek scales its scores by the second as well */
      mscale: number | null
      mscaleAllDim: number | null
    }
  | {
      type: 'llama3'
      factor: number
      originalLength: number
      lowFrequencyFactor: number
      highFrequencyFactor: number
    }
  | {
      type: 'longrope'
      originalLength: number
      attentionFactor: number
      /** one divisor for each pair of turned values */
      shortFactors: readonly number[]
      longFactors: readonly number[]
    }

/** The rotary fields of a config.json for one kind of layer, wherever it spells them. */
export interface RopeParameters {
  /** what a message calls them, such as rope_scaling or rope_parameters.full_attention */
  field: string
  values: Readonly<Record<string, unknown>>
}

/** What a scaling reads from outside its own fields. */
export interface RopeLengths {
  /** max_position_embeddings */
  contextLength: number
  /** original_max_position_embeddings beside the rotary fields, which transformers obeys before the one among them */
  originalLength: number | null
}

/** Fields that say no scaling by themselves. */
const common = ['rope_type', 'type', 'rope_theta', 'partial_rotary_factor']

/**
 * Reads rope_scaling of transformers 4 or rope_parameters of transformers 5, with the defaults of transformers'
 * modeling_rope_utils; null for the plain rotary embedding.
 * @throws AppError CONFIG_UNSUPPORTED naming a type or a field that is not known, or a value of the wrong form
 */
export function readRopeScaling({ field, values }: RopeParameters, lengths: RopeLengths): RopeScaling | null {
  const name = (key: string) => `${field}.${key}`
  const optional = (key: string): number | null => {
    const value = values[key] ?? null
    if (value === null) return null
    return typeof value === 'number' && Number.isFinite(value) && value > 0
      ? value
      : unsupported(name(key), value, 'it must be a number above 0')
  }
  const needed = (key: string) => optional(key) ?? unsupported(name(key), null, `a rotary scaling by ${type} needs it`)
  const numbers = (key: string): number[] => {
    const value = values[key]
    const good = Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'number' && one > 0)
    return good ? value : unsupported(name(key), value, 'it must be a list of numbers above 0')
  }
  const only = (...known: string[]) => {
    for (const [key, value] of Object.entries(values)) {
      if (value === null || value === undefined || common.includes(key) || known.includes(key)) continue
      unsupported(name(key), value, `a rotary scaling by ${type} does not know it`)
    }
  }
  const type = readType(field, values)
  const { contextLength } = lengths
  const originalLength = lengths.originalLength ?? optional('original_max_position_embeddings') ?? contextLength
  const ratio = contextLength / originalLength

  switch (type) {
    case 'default':
      only()
      return null
    case 'linear':
      only('factor')
      return { type, factor: needed('factor') }
    case 'dynamic':
      only('factor', 'original_max_position_embeddings')
      // No release of transformers reads it here: max_position_embeddings is the trained length.
      if (optional('original_max_position_embeddings') !== null && originalLength !== contextLength) {
        unsupported(name('original_max_position_embeddings'), originalLength, `the trained length is ${contextLength}`)
      }
      return { type, factor: needed('factor'), trainedLength: contextLength }
    case 'llama3':
      only('factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings')
      return {
        type,
        factor: needed('factor'),
        originalLength,
        lowFrequencyFactor: needed('low_freq_factor'),
        highFrequencyFactor: needed('high_freq_factor'),
      }
    case 'yarn': {
      only(...yarnFields)
      const factor = optional('factor') ?? (ratio > 1 ? ratio : needed('factor'))
      // transformers counts a weight of 0 as none.
      const weight = (key: string) => (values[key] === 0 ? null : optional(key))
      const [mscale, mscaleAllDim] = [weight('mscale'), weight('mscale_all_dim')]
      const truncate = values.truncate ?? true
      if (typeof truncate !== 'boolean') unsupported(name('truncate'), truncate, 'it must be true or false')
      return {
        type,
        factor,
        originalLength,
        attentionFactor: optional('attention_factor') ?? yarnAttention(factor, mscale, mscaleAllDim),
        betaFast: optional('beta_fast') ?? 32,
        betaSlow: optional('beta_slow') ?? 1,
        truncate,
        mscale,
        mscaleAllDim,
      }
    }
    case 'longrope': {
      only('short_factor', 'long_factor', 'factor', 'attention_factor', 'original_max_position_embeddings')
      const factor = optional('factor') ?? ratio
      return {
        type,
        originalLength,
        attentionFactor: optional('attention_factor') ?? longRopeAttention(factor, originalLength),
        shortFactors: numbers('short_factor'),
        longFactors: numbers('long_factor'),
      }
    }
    default:
      return unsupported(name('rope_type'), type, 'no such rotary scaling is known')
  }
}

/** `finetuned` says how the checkpoint came to be, and changes nothing. */
const yarnFields = [
  ...['factor', 'original_max_position_embeddings', 'attention_factor', 'beta_fast', 'beta_slow'],
  ...['mscale', 'mscale_all_dim', 'truncate', 'finetuned'],
]

/** config.json's own word, `rope_type` since transformers 4.45 and `type` before; su is longrope's first name. */
function readType(field: string, { rope_type: newer, type: older }: Readonly<Record<string, unknown>>): string {
  const type = newer ?? older ?? 'default'
  if (typeof type !== 'string') unsupported(`${field}.rope_type`, type, 'it must be text')
  if (newer != null && older != null && newer !== older) {
    unsupported(`${field}.type`, older, `rope_type says ${shown(newer)}`)
  }
  return type === 'su' ? 'longrope' : type
}

/** YaRN's temperature (Peng et al. 2023, eq. 22); DeepSeek gives it two weights, of which equal ones cancel. */
function yarnAttention(factor: number, mscale: number | null, mscaleAllDim: number | null): number {
  if (mscale === null || mscaleAllDim === null) return yarnMscale(factor, 1)
  return yarnMscale(factor, mscale) / yarnMscale(factor, mscaleAllDim)
}

/** 0.1 weight ln(factor) + 1 */
export function yarnMscale(factor: number, weight: number): number {
  return factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1
}

/** Ding et al. 2024, section 3.3, as Phi-3 has it. */
function longRopeAttention(factor: number, originalLength: number): number {
  return factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalLength))
}
