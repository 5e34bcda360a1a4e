import { AppError } from '../errors.ts'
import { expectedTensors } from './expected-tensors.ts'
import type { ModelConfig } from './model-config.ts'

/**
 * Number of parameters: the values of every expected tensor, a tied head counted once.
 * @throws AppError CONFIG_UNSUPPORTED where the sizes of the config multiply beyond 2^53
 */
export function parameterCount(config: ModelConfig): number {
  let total = 0
  for (const { shape } of expectedTensors(config)) total += shape.reduce((product, size) => product * size, 1)
  if (Number.isSafeInteger(total)) return total
  throw new AppError(
    'CONFIG_UNSUPPORTED',
    `the sizes of ${config.name} make ${total} parameters`,
    'Mend its config.json.',
  )
}
