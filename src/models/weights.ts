import type { Checkpoint, TensorEntry } from '../checkpoints/checkpoint.ts'
import { AppError } from '../errors.ts'
import type { ElementType, GraphBuilder, Value } from '../onnx/graph.ts'
import { cast } from '../onnx/ops.ts'

const elementTypes = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const satisfies Record<
  TensorEntry['dtype'],
  ElementType
>

export interface Weights {
  take(name: string, shape: readonly number[]): Value
}

/**
 * A checkpoint's tensors as values of a graph. A float32 tensor is read where it lies; a 16-bit one goes through a
 * Cast, which the runtime computes once, at load (and then holds in float32).
 */
export function openWeights(g: GraphBuilder, checkpoint: Checkpoint): Weights {
  const taken = new Map<string, Value>()
  return {
    take(name, shape) {
      const entry = checkpoint.tensors.get(name)
      if (!entry) {
        throw new AppError(
          'CHECKPOINT_INVALID',
          `${checkpoint.directory} lacks the tensor ${name}`,
          'Check that all of its weight files are there.',
        )
      }
      if (entry.shape.join() !== shape.join()) {
        throw new AppError(
          'CHECKPOINT_INVALID',
          `${name} of ${checkpoint.directory} has shape [${entry.shape}], its config.json asks for [${shape}]`,
          'Check that config.json belongs to these weights.',
        )
      }
      const value = taken.get(name) ?? place(g, entry)
      taken.set(name, value)
      return value
    },
  }
}

function place(g: GraphBuilder, { name, dtype, shape, file, offset, length }: TensorEntry): Value {
  const stored = g.external({ name, type: elementTypes[dtype], dims: shape, file, offset, length })
  return dtype === 'F32' ? stored : cast(g.at('weights').at(name), stored, 'float32')
}
