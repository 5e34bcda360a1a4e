import { AppError } from '../errors.ts'
import { familyOfType } from './families.ts'
import { readFields } from './fields.ts'
import type { ModelConfig } from './model-config.ts'
import { findPreset, presets } from './presets.ts'

/** Read from the config.json itself and not through `Fields`. */
const readElsewhere = [
  'attention_bias',
  'bias',
  'mlp_bias',
  'num_ln_in_parallel_attn',
  'rope_parameters',
  'rope_scaling',
  'torch_dtype',
]

/**
 * A preset with some fields of its config.json replaced, and its config read.
 * @throws AppError NOT_FOUND; VALIDATION_FAILED for an override of a field that nothing reads, which would otherwise
 *   change nothing without a word; CONFIG_UNSUPPORTED as readModelConfig
 */
export function overridePreset(
  preset: string,
  overrides: Readonly<Record<string, unknown>> | null,
): { raw: Record<string, unknown>; config: ModelConfig } {
  const { name, config: base } = findPreset(preset)
  const raw = { ...base, ...overrides }
  const fields = readFields(raw)
  const config = familyOfType(raw.model_type).read(fields, name)
  const known = new Set([...fields.asked, ...readElsewhere, ...presets.flatMap((one) => Object.keys(one.config))])
  const stranger = Object.keys(overrides ?? {}).find((field) => !known.has(field))
  if (stranger === undefined) return { raw, config }
  throw new AppError(
    'VALIDATION_FAILED',
    `overrides: ${JSON.stringify(stranger)} is no field of ${name}'s config.json`,
    `It has ${Object.keys(base).join(', ')}.`,
  )
}
