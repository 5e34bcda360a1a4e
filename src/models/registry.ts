import type { ModelConfig } from '../architecture/model-config.ts'
import { AppError } from '../errors.ts'
import { falcon } from './falcon.ts'
import type { ModelFamily } from './family.ts'
import { gptBigCode } from './gpt-bigcode.ts'
import { gpt2 } from './gpt2.ts'
import { llama } from './llama.ts'
import { mixtral } from './mixtral.ts'

/** The families that the engine can run. */
export const families: readonly ModelFamily[] = [gpt2, gptBigCode, falcon, llama, mixtral]

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
