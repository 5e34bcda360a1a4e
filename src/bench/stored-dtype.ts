import { expectedTensors } from '../architecture/expected-tensors.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import type { Checkpoint, WeightDtype } from '../checkpoints/checkpoint.ts'

/**
 * The dtype that holds most bytes of a model's weights. A converted 16-bit checkpoint has its pooled tensors in F32, and
 * masks may be stored in any dtype: what the config does not ask for does not count.
 * @param config of the model as the checkpoint holds it, after a conversion
 */
export function storedDtype({ tensors }: Pick<Checkpoint, 'tensors'>, config: ModelConfig): WeightDtype {
  const bytes = new Map<WeightDtype, number>()
  for (const { name } of expectedTensors(config)) {
    const entry = tensors.get(name)
    if (entry !== undefined) bytes.set(entry.dtype, (bytes.get(entry.dtype) ?? 0) + entry.length)
  }
  const [most] = [...bytes].sort(([, a], [, b]) => b - a)
  return most?.[0] ?? 'F32'
}
