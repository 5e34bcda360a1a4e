import { type Fields, unsupported } from './fields.ts'

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Base of the rotary embedding (Su et al. 2021). transformers 4 spells it `rope_theta`; transformers 5 puts it into
 * `rope_parameters`; GPT-NeoX says `rotary_emb_base`.
 */
export function readRopeTheta(fields: Fields, fallback = 10_000): number {
  const parameters = fields.any('rope_parameters')
  const nested = isObject(parameters) ? parameters.rope_theta : undefined
  if (nested === undefined) return fields.number(fallback, 'rope_theta', 'rotary_emb_base')
  return typeof nested === 'number' && nested > 0
    ? nested
    : unsupported('rope_parameters.rope_theta', nested, 'it must be a number above 0')
}

/**
 * How config.json stretches the rotary embedding beyond its plain form, in either spelling; null where it does not.
 * `type` is config.json's own word, such as llama3, yarn or linear.
 */
export function ropeScaling(
  raw: Record<string, unknown>,
): { type: string; parameters: Record<string, unknown> } | null {
  const given = [raw.rope_scaling, raw.rope_parameters].find(isObject)
  const type = given?.rope_type ?? given?.type
  if (!given || type === undefined || type === 'default') return null
  return { type: String(type), parameters: given }
}
