import { createHash } from 'node:crypto'
import { AppError } from '../errors.ts'
import { bitsOf } from './dtypes.ts'
import { mapBounded } from './map-bounded.ts'
import { type PickledTensor, readPickledTensors } from './pytorch-pickle.ts'
import { quote } from './quote.ts'
import { fromFile, type HeaderSource, type SafetensorsHeader, type StoredTensor } from './safetensors.ts'
import { dataOffset, readZipDirectory, readZipEntry, type ZipDirectory, type ZipEntry } from './zip-directory.ts'

/** A pickle takes some 250 bytes a tensor: this is room for 60,000 of them, in one shard. */
const maxPickleBytes = 16 * 1024 * 1024

/** Local headers that are read at a time: on a hub each is a request. */
const parallel = 8

/** First bytes of what torch.save wrote before 1.6: a pickle of a magic number, or a tar of pickles. */
const oldMagic = Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex')

function invalid(file: string, message: string, hint = 'Download the file again.'): never {
  throw new AppError('CHECKPOINT_INVALID', `${file}: ${message}`, hint)
}

/**
 * Reads where the tensors of a file that torch.save wrote lie: a zip archive whose `data.pkl` names them and whose storages
 * are stored as they are (torch/csrc/jit/serialization, since torch 1.6), so that they are used in place. Nothing of the
 * pickle is executed, and no weight is read.
 * @throws AppError CHECKPOINT_INVALID for what is no such archive, a pickle that holds anything but tensors, and a tensor
 * that is no contiguous piece of its storage
 */
export function readPytorchFile(path: string): Promise<SafetensorsHeader> {
  return fromFile(path, readPytorchFrom)
}

/** The same of a file or its like on a hub: its end, its pickle, and the local header of every storage. */
export async function readPytorchFrom(file: HeaderSource): Promise<SafetensorsHeader> {
  await refuseOldFormat(file)
  const directory = await readZipDirectory(file)
  const root = rootOf(directory, file.name)
  await checkByteOrder(file, directory, root)
  const pickle = directory.entries.get(`${root}data.pkl`)
  if (pickle === undefined) return invalid(file.name, `it holds no ${root}data.pkl`)
  const pickled = await readZipEntry(file, directory, pickle, maxPickleBytes)
  const views = [...readPickledTensors(pickled, file.name)].map(([name, tensor]) =>
    checkView(name, tensor, { file, directory, root }),
  )
  // Tied weights share a storage.
  const storages = new Map(views.map(({ entry }) => [entry.name, entry]))
  const starts = await mapBounded([...storages.values()], parallel, async (entry) => {
    return [entry.name, await dataOffset(file, directory, entry)] as const
  })
  const startOf = new Map(starts)
  const tensors = views.map(({ entry, tensor }): StoredTensor => {
    return { ...tensor, offset: (startOf.get(entry.name) ?? 0) + tensor.offset }
  })
  // What tells two files apart, as a header does: names and shapes, and where everything lies.
  const bytes = createHash('sha256').update(pickled).update(directory.bytes).digest()
  return { tensors, metadata: {}, bytes }
}

async function refuseOldFormat(file: HeaderSource): Promise<void> {
  if (!(await file.read(0, oldMagic.length)).equals(oldMagic)) return
  invalid(
    file.name,
    'was written by torch.save before torch 1.6, whose weights lie inside pickles',
    'Save it again with safetensors, or with torch 1.6 or newer.',
  )
}

/** The folder that everything in the archive lies in, which is named as the file was when it was saved. */
function rootOf({ entries }: ZipDirectory, path: string): string {
  const pickles = [...entries.keys()].filter((name) => /^[^/]*\/data\.pkl$/.test(name))
  const [found, another] = pickles
  if (found === undefined) return invalid(path, 'is a zip archive without data.pkl: torch.save did not write it')
  if (another !== undefined) return invalid(path, `holds ${quote(found)} and ${quote(another)}`)
  return found.slice(0, -'data.pkl'.length)
}

/** Absent in files of torch before 2.1, which wrote on little-endian machines but for a few. */
async function checkByteOrder(file: HeaderSource, directory: ZipDirectory, root: string): Promise<void> {
  const entry = directory.entries.get(`${root}byteorder`)
  if (entry === undefined) return
  const order = (await readZipEntry(file, directory, entry, 16)).toString('latin1')
  if (order !== 'little') invalid(file.name, `its byte order is ${quote(order)}, and little is read`)
}

interface Archive {
  file: HeaderSource
  directory: ZipDirectory
  root: string
}

/** A tensor whose offset is that in its storage, in bytes, and the file of the archive that is its storage. */
function checkView(name: string, tensor: PickledTensor, archive: Archive): { tensor: StoredTensor; entry: ZipEntry } {
  const { file, directory, root } = archive
  const { storage, offset, shape, strides } = tensor
  const where = `tensor ${quote(name)}`
  const entry = directory.entries.get(`${root}data/${storage.key}`)
  if (entry === undefined) return invalid(file.name, `${where} lies in data/${storage.key}, which is not there`)
  const width = (bitsOf.get(storage.dtype) ?? 0) / 8
  if (storage.count * width !== entry.size) {
    invalid(
      file.name,
      `data/${storage.key} holds ${entry.size} bytes, and ${storage.count} values of ${storage.dtype} need another number`,
    )
  }
  const count = shape.reduce((product, size) => product * size, 1)
  if (!Number.isSafeInteger(count) || offset + count > storage.count) {
    invalid(
      file.name,
      `${where} [${shape.join(', ')}] begins at value ${offset} of ${storage.count}, and does not end there`,
    )
  }
  if (!isContiguous(shape, strides)) {
    invalid(
      file.name,
      `${where} [${shape.join(', ')}] lies in strides of [${strides.join(', ')}], and only whole rows in their order are read`,
      'Save it again with safetensors.',
    )
  }
  return { tensor: { name, dtype: storage.dtype, shape, offset: offset * width, length: count * width }, entry }
}

/** Row-major without holes; the stride of a single element says nothing. */
function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  if (strides.length !== shape.length) return false
  if (shape.includes(0)) return true
  let step = 1
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    const size = shape[axis] ?? 1
    if (size !== 1 && strides[axis] !== step) return false
    step *= size
  }
  return true
}
