import { familyOfType } from './families.ts'
import { readFields } from './fields.ts'
import type { ModelConfig } from './model-config.ts'
import { withStretchedContext } from './rope.ts'

/**
 * Reads a config.json of any known family into one form. `name` becomes the model's name.
 * @throws AppError CONFIG_UNSUPPORTED naming the field and its value
 */
export function readModelConfig(config: Record<string, unknown>, name: string): ModelConfig {
  return withStretchedContext(familyOfType(config.model_type).read(readFields(config), name))
}
