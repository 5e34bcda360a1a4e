import type { Checkpoint } from '../checkpoints/checkpoint.ts'
import { AppError } from '../errors.ts'
import { expectedTensors } from './expected-tensors.ts'
import { familyOf } from './families.ts'
import type { ExpectedTensor, ModelConfig } from './model-config.ts'

/** What keeps a tensor from being read as config.json has it. */
export interface TensorFault {
  /** tensor, shapes or dtype, and file or folder */
  message: string
  hint: string
}

export interface TensorCheck {
  /** tensors of the checkpoint that the config does not account for and that are not known to carry no weight */
  unexpected: string[]
}

/** What headers tell of a checkpoint; `directory` is where it lies, as messages name it. */
type ListedTensors = Pick<Checkpoint, 'directory' | 'tensors' | 'unread'>

const shown = (shape: readonly number[]) => `[${shape.join(', ')}]`

/**
 * Compares a checkpoint with the tensors that its config asks for: those that are missing, of another shape or in a
 * dtype that cannot be read are faults, in the config's order. Masks, rotary tables and the copy of a tied head are
 * known to carry no weight of their own; anything else that is left over is `unexpected`.
 */
export function compareTensors(
  checkpoint: ListedTensors,
  config: ModelConfig,
): TensorCheck & { faults: TensorFault[] } {
  const expected = new Set<string>()
  const faults: TensorFault[] = []
  for (const tensor of expectedTensors(config)) {
    expected.add(tensor.name)
    const fault = faultOf(tensor, checkpoint)
    if (fault) faults.push(fault)
  }
  const ignorable = familyOf(config).ignorable(config)
  const carriesWeight = (name: string) =>
    !ignorable.some((pattern) => pattern.test(name)) && !(config.tiedEmbeddings && name === 'lm_head.weight')
  const stored = [...checkpoint.tensors.keys(), ...(checkpoint.unread?.keys() ?? [])]
  return { faults, unexpected: stored.filter((name) => !expected.has(name) && carriesWeight(name)) }
}

function faultOf({ name, shape }: ExpectedTensor, checkpoint: ListedTensors): TensorFault | null {
  const quoted = JSON.stringify(name)
  const unread = checkpoint.unread?.get(name)
  const stored = checkpoint.tensors.get(name)
  if (unread) {
    return {
      message: `${unread.file}: tensor ${quoted} is stored as ${unread.dtype}, and F32, F16 and BF16 can be read`,
      hint: 'Use a checkpoint that is not quantised.',
    }
  }
  if (!stored) {
    return {
      message: `${checkpoint.directory} lacks tensor ${quoted} ${shown(shape)}, which its config.json asks for`,
      hint: 'Check that weights and config.json belong together and that every shard is there.',
    }
  }
  if (stored.shape.length === shape.length && stored.shape.every((size, axis) => size === shape[axis])) return null
  return {
    message: `${stored.file}: tensor ${quoted} is ${shown(stored.shape)}, and config.json asks for ${shown(shape)}`,
    hint: 'Check that weights and config.json belong together.',
  }
}

/**
 * Makes sure that a checkpoint holds every tensor its config asks for, and hands back what is left over.
 * @throws AppError CHECKPOINT_INVALID for the first fault that compareTensors finds
 */
export function checkTensors(checkpoint: Checkpoint, config: ModelConfig): TensorCheck {
  const { faults, unexpected } = compareTensors(checkpoint, config)
  const [first] = faults
  if (first) throw new AppError('CHECKPOINT_INVALID', first.message, first.hint)
  return { unexpected }
}
