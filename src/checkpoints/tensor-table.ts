import { basename } from 'node:path'
import { AppError } from '../errors.ts'
import type { TensorEntry, UnreadTensor } from './checkpoint.ts'
import { isWeightDtype } from './dtypes.ts'
import { quote } from './quote.ts'
import type { SafetensorsHeader } from './safetensors.ts'
import { indexName } from './shards.ts'

const maxTensors = 1_000_000

/**
 * Names that hub files spell in several ways and kvscope in one: GPT-2's kind with and without `transformer.`; the text
 * part of a model that also sees pictures, which carries `language_model.` before or after transformers 4.52's place.
 */
const spellings: readonly [prefix: string, plain: string][] = [
  ['transformer.', ''],
  ['language_model.', ''],
  ['model.language_model.', 'model.'],
]

function plainName(stored: string): string {
  const [prefix, plain] = spellings.find(([start]) => stored.startsWith(start)) ?? ['', '']
  return plain + stored.slice(prefix.length)
}

/** The tensors of a checkpoint, gathered from the headers of its files. */
export interface TensorTable {
  readonly tensors: Map<string, TensorEntry>
  /** those in dtypes that the engine does not read */
  readonly unread: Map<string, UnreadTensor>
  /**
   * @param file that the header was read from
   * @param promised tensors that an index puts into it
   * @throws AppError CHECKPOINT_INVALID for a tensor that is there twice, or promised and not there
   */
  add(header: SafetensorsHeader, file: string, promised: readonly string[]): void
}

/** @param place of the checkpoint, as errors name it */
export function createTensorTable(place: string): TensorTable {
  const tensors = new Map<string, TensorEntry>()
  const unread = new Map<string, UnreadTensor>()
  return {
    tensors,
    unread,
    add(header, file, promised) {
      for (const { name: storedName, dtype, shape, offset, length } of header.tensors) {
        const name = plainName(storedName)
        const other = tensors.get(name) ?? unread.get(name)
        if (other) {
          throw new AppError(
            'CHECKPOINT_INVALID',
            `tensor ${quote(name)} stands in ${other.file} and again in ${file}`,
            'Remove the file that is left over from an earlier download.',
          )
        }
        if (isWeightDtype(dtype)) tensors.set(name, { name, dtype, shape, file, offset, length })
        else unread.set(name, { name, dtype, shape, file })
      }
      if (tensors.size + unread.size > maxTensors) {
        throw new AppError('CHECKPOINT_INVALID', `${place} holds more than ${maxTensors} tensors`)
      }
      checkIndex(promised, file, new Set(header.tensors.map((tensor) => tensor.name)))
    },
  }
}

/** Every tensor that the index puts into a shard must stand in its header. */
function checkIndex(promised: readonly string[], path: string, names: ReadonlySet<string>): void {
  const absent = promised.find((tensor) => !names.has(tensor))
  if (absent === undefined) return
  throw new AppError(
    'CHECKPOINT_INVALID',
    `${indexName} puts tensor ${quote(absent)} into ${basename(path)}, which does not hold it`,
    'Download the checkpoint again, every shard of it.',
  )
}
