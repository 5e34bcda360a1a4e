import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A new folder, its path without links, that goes when the test ends. */
export async function makeFolder(): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'kvscope-checkpoint-')))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A safetensors file as bytes: length prefix, the header given as text, then `data` bytes of zero. */
export function fileBytes(header: string | Uint8Array, data = 0, statedLength?: bigint): Buffer {
  const json = typeof header === 'string' ? Buffer.from(header) : header
  const prefix = Buffer.alloc(8)
  prefix.writeBigUInt64LE(statedLength ?? BigInt(json.length))
  return Buffer.concat([prefix, json, Buffer.alloc(data)])
}

export interface HostileFile {
  header: string | Uint8Array
  data?: number
  statedLength?: bigint
}

/** Writes a folder with a config.json and a model.safetensors of this header. */
export async function makeCheckpoint(file: HostileFile, config: unknown = { model_type: 'gpt2' }): Promise<string> {
  const folder = await makeFolder()
  await writeFile(join(folder, 'config.json'), JSON.stringify(config))
  await writeFile(join(folder, 'model.safetensors'), fileBytes(file.header, file.data, file.statedLength))
  return folder
}

/** A header entry: 4 bytes a value, from byte `start`. */
export function f32(shape: number[], start: number): Record<string, unknown> {
  const bytes = 4 * shape.reduce((product, size) => product * size, 1)
  return { dtype: 'F32', shape, data_offsets: [start, start + bytes] }
}
