import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Checkpoint } from '../../src/checkpoints/checkpoint.ts'
import { readTensor } from '../../src/checkpoints/read-tensor.ts'

export type StoredDtype = 'F32' | 'F16' | 'BF16'

/** A tensor of a file to write: values that the dtype holds exactly. */
interface Stored {
  name: string
  shape: readonly number[]
  bytes: Buffer
}

/**
 * Writes a checkpoint again in another dtype, in one file or dealt to shards with their index. Values are rounded to
 * what every dtype holds exactly (8 bits of fraction at most, no tiny numbers), so that all forms mean the same weights.
 */
export async function rewriteCheckpoint(
  checkpoint: Checkpoint,
  folder: string,
  { dtype, shards = 1 }: { dtype: StoredDtype; shards?: number },
): Promise<string> {
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'config.json'), await readFile(join(checkpoint.directory, 'config.json')))
  const tensors: Stored[] = []
  for (const entry of checkpoint.tensors.values()) {
    const values = (await readTensor(entry)).map(roundForAll)
    tensors.push({ name: entry.name, shape: entry.shape, bytes: encode(values, dtype) })
  }
  if (shards === 1) {
    await writeFile(join(folder, 'model.safetensors'), safetensors(tensors, dtype))
    return folder
  }
  const weightMap: Record<string, string> = {}
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-${shard + 1}-of-${shards}.safetensors`
    const mine = tensors.filter((_, index) => index % shards === shard)
    for (const { name } of mine) weightMap[name] = file
    await writeFile(join(folder, file), safetensors(mine, dtype))
  }
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: weightMap }))
  return folder
}

/** Steps of 1/128 up to 2, coarser above: within bfloat16's 8 and float16's 11 significant bits. */
function roundForAll(value: number): number {
  const step = Math.abs(value) < 1 ? 2 ** -8 : 2 ** (Math.floor(Math.log2(Math.abs(value))) - 7)
  return Math.round(value / step) * step
}

function encode(values: Float32Array, dtype: StoredDtype): Buffer {
  if (dtype === 'F32') return Buffer.from(values.buffer, values.byteOffset, values.byteLength)
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const words = Uint16Array.from(bits, (word) => (dtype === 'BF16' ? word >>> 16 : halfBits(word)))
  return Buffer.from(words.buffer)
}

/** Bits of a float32 that float16 holds exactly and as a normal number. */
function halfBits(word: number): number {
  const sign = (word >>> 16) & 0x8000
  const exponent = (word >>> 23) & 0xff
  return exponent === 0 ? sign : sign | ((exponent - 112) << 10) | ((word >>> 13) & 0x3ff)
}

function safetensors(tensors: readonly Stored[], dtype: StoredDtype): Buffer {
  let offset = 0
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  for (const { name, shape, bytes } of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] }
    offset += bytes.length
  }
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, ...tensors.map((tensor) => tensor.bytes)])
}
