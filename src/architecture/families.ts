import { AppError } from '../errors.ts'
import type { ModelFamily } from './family.ts'
import { deepSeekV2 } from './family-deepseek-v2.ts'
import { deepSeekV3 } from './family-deepseek-v3.ts'
import { falcon } from './family-falcon.ts'
import { gemma } from './family-gemma.ts'
import { gemma2 } from './family-gemma2.ts'
import { gemma3 } from './family-gemma3.ts'
import { gptBigCode } from './family-gpt-bigcode.ts'
import { gptNeo } from './family-gpt-neo.ts'
import { gptNeoX } from './family-gpt-neox.ts'
import { gpt2 } from './family-gpt2.ts'
import { llama } from './family-llama.ts'
import { mistral } from './family-mistral.ts'
import { mixtral } from './family-mixtral.ts'
import { olmo2 } from './family-olmo2.ts'
import { phi } from './family-phi.ts'
import { phi3 } from './family-phi3.ts'
import { qwen2 } from './family-qwen2.ts'
import { qwen3 } from './family-qwen3.ts'
import { starcoder2 } from './family-starcoder2.ts'
import { shown } from './fields.ts'
import type { Family } from './model-config.ts'

/** Every family whose config.json kvscope reads. */
const families: readonly ModelFamily[] = [
  gpt2,
  gptBigCode,
  gptNeo,
  gptNeoX,
  falcon,
  llama,
  mistral,
  starcoder2,
  phi,
  phi3,
  olmo2,
  mixtral,
  qwen2,
  qwen3,
  gemma,
  gemma2,
  gemma3,
  deepSeekV2,
  deepSeekV3,
]

/** The families that the engine can run. */
export const runnableFamilies: readonly Family[] = families.filter((one) => one.runnable).map((one) => one.family)

/** @throws AppError CONFIG_UNSUPPORTED naming config.json's model_type */
export function familyOfType(modelType: unknown): ModelFamily {
  const found = families.find((family) => typeof modelType === 'string' && family.modelTypes.includes(modelType))
  if (found) return found
  const known = families.flatMap((family) => family.modelTypes).join(', ')
  throw new AppError(
    'CONFIG_UNSUPPORTED',
    `config.json has model_type = ${shown(modelType)}, which is no family that kvscope knows`,
    `Known are ${known}.`,
  )
}

export function familyOf(config: { family: Family }): ModelFamily {
  return familyOfType(config.family)
}
