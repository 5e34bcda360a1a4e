import { familyOf } from './families.ts'
import type { ExpectedTensor, ModelConfig } from './model-config.ts'

/** Every tensor that a checkpoint of this config must hold, in the hub's names (without `transformer.`) and layouts. */
export function expectedTensors(config: ModelConfig): ExpectedTensor[] {
  return familyOf(config).tensors(config)
}
