import type { ModelConfig } from '../architecture/model-config.ts'
import { AppError } from '../errors.ts'
import { deepSeekV2, deepSeekV3 } from './deepseek.ts'
import { falcon } from './falcon.ts'
import type { ModelFamily } from './family.ts'
import { gemma } from './gemma.ts'
import { gemma2 } from './gemma2.ts'
import { gemma3 } from './gemma3.ts'
import { gptBigCode } from './gpt-bigcode.ts'
import { gptNeo } from './gpt-neo.ts'
import { gptNeoX } from './gpt-neox.ts'
import { gpt2 } from './gpt2.ts'
import { llama } from './llama.ts'
import { mistral } from './mistral.ts'
import { mixtral } from './mixtral.ts'
import { olmo2 } from './olmo2.ts'
import { phi } from './phi.ts'
import { phi3 } from './phi3.ts'
import { qwen2 } from './qwen2.ts'
import { qwen3 } from './qwen3.ts'
import { starcoder2 } from './starcoder2.ts'

/** The families that the engine can run. */
export const families: readonly ModelFamily[] = [
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

/**
 * The family that runs a config.
 * @throws AppError CONFIG_UNSUPPORTED where no family does, or where the config asks for what its family does not know
 */
export function findFamily(config: ModelConfig): ModelFamily {
  const family = families.find((candidate) => candidate.family === config.family)
  if (!family) {
    throw new AppError(
      'CONFIG_UNSUPPORTED',
      `${config.name}: the engine cannot run the family ${config.family}`,
      `It runs ${families.map((candidate) => candidate.family).join(', ')}; sizes can be looked at for more.`,
    )
  }
  family.check(config)
  return family
}
