import { AppError } from '../errors.ts'
import type { ModelFamily } from './family.ts'
import { gpt2 } from './family-gpt2.ts'
import { llama } from './family-llama.ts'
import type { Family } from './model-config.ts'

/** Every family whose config.json kvscope reads. */
export const families: readonly ModelFamily[] = [gpt2, llama]

/** @throws AppError CONFIG_UNSUPPORTED naming config.json's model_type */
export function familyOfType(modelType: unknown): ModelFamily {
  const found = families.find((family) => typeof modelType === 'string' && family.modelTypes.includes(modelType))
  if (found) return found
  const known = families.flatMap((family) => family.modelTypes).join(', ')
  throw new AppError(
    'CONFIG_UNSUPPORTED',
    `config.json has model_type = ${JSON.stringify(modelType) ?? 'nothing'}, which is no family that kvscope knows`,
    `Known are ${known}.`,
  )
}

export function familyOf(config: { family: Family }): ModelFamily {
  return familyOfType(config.family)
}
