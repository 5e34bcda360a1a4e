import type { Checkpoint } from '../checkpoints/checkpoint.ts'
import { AppError } from '../errors.ts'
import { expectedTensors } from './expected-tensors.ts'
import { familyOf } from './families.ts'
import type { ModelConfig } from './model-config.ts'

export interface TensorCheck {
  /** tensors of the checkpoint that the config does not account for and that are not known to carry no weight */
  unexpected: string[]
}

const shown = (shape: readonly number[]) => `[${shape.join(', ')}]`

/**
 * Makes sure that a checkpoint holds every tensor its config asks for, with its shape and in a dtype that can be read.
 * Masks, rotary tables and the copy of a tied head are known to carry no weight of their own; anything else that is
 * left over is handed back.
 * @throws AppError CHECKPOINT_INVALID naming tensor, shapes and file or folder
 */
export function checkTensors(checkpoint: Checkpoint, config: ModelConfig): TensorCheck {
  const invalid = (message: string, hint: string): never => {
    throw new AppError('CHECKPOINT_INVALID', message, hint)
  }
  const expected = new Set<string>()
  for (const { name, shape } of expectedTensors(config)) {
    expected.add(name)
    const quoted = JSON.stringify(name)
    const unread = checkpoint.unread?.get(name)
    const stored = checkpoint.tensors.get(name)
    if (unread) {
      invalid(
        `${unread.file}: tensor ${quoted} is stored as ${unread.dtype}, and F32, F16 and BF16 can be read`,
        'Use a checkpoint that is not quantised.',
      )
    } else if (!stored) {
      invalid(
        `${checkpoint.directory} lacks tensor ${quoted} ${shown(shape)}, which its config.json asks for`,
        'Check that weights and config.json belong together and that every shard is there.',
      )
    } else if (stored.shape.length !== shape.length || stored.shape.some((size, axis) => size !== shape[axis])) {
      invalid(
        `${stored.file}: tensor ${quoted} is ${shown(stored.shape)}, and config.json asks for ${shown(shape)}`,
        'Check that weights and config.json belong together.',
      )
    }
  }
  const ignorable = familyOf(config).ignorable(config)
  const carriesWeight = (name: string) =>
    !ignorable.some((pattern) => pattern.test(name)) && !(config.tiedEmbeddings && name === 'lm_head.weight')
  const stored = [...checkpoint.tensors.keys(), ...(checkpoint.unread?.keys() ?? [])]
  return { unexpected: stored.filter((name) => !expected.has(name) && carriesWeight(name)) }
}
