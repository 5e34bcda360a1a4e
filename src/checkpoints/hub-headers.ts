import { AppError } from '../errors.ts'
import type { TensorEntry, UnreadTensor } from './checkpoint.ts'
import { addressOf, type HubFile, listHubFiles, type PinnedModel, pinRevision, readHubFile } from './hub.ts'
import type { HubModel } from './hub-names.ts'
import { type Hub, readChunks, retrying } from './hub-request.ts'
import { mapBounded } from './map-bounded.ts'
import { maxConfigBytes, parseConfigJson, syntheticKey } from './open.ts'
import { readPytorchFrom } from './pytorch-file.ts'
import { readHeaderFrom } from './safetensors.ts'
import { maxIndexBytes, parseIndex, weightLayouts } from './shards.ts'
import { createTensorTable } from './tensor-table.ts'

/** What a hub's model says of itself: its config.json and the heads of its weight files. No weight has been fetched. */
export interface RemoteHeaders extends PinnedModel {
  config: Record<string, unknown>
  /** everything in the repository's root, by name */
  files: ReadonlyMap<string, HubFile>
  /** `file` is the name in the repository; none where the repository has neither safetensors nor pytorch_model.bin */
  tensors: ReadonlyMap<string, TensorEntry>
  /** tensors in dtypes that the engine does not read */
  unread: ReadonlyMap<string, UnreadTensor>
  /** whether the weights say that they were drawn from a seed */
  synthetic: boolean
  /** of config.json, the index and the heads: what it took to know this */
  bytesFetched: number
}

/** Most headers fit, and one request tells; longer ones take another. */
const firstBytes = 64 * 1024
const parallel = 8

/**
 * Reads config.json and the headers of a hub model's safetensors by range requests: of 80 GB some hundred KB are fetched.
 * Of pytorch_model.bin, where there are none, the directory, the pickle and the local header of each storage.
 * @throws AppError NOT_FOUND, HUB_ACCESS_DENIED, HUB_RATE_LIMITED, HUB_UNAVAILABLE, CHECKPOINT_INVALID
 */
export async function openRemoteHeaders(hub: Hub, asked: HubModel & { commit?: string }): Promise<RemoteHeaders> {
  const { repo, revision, commit } = asked
  const model = commit === undefined ? await pinRevision(hub, asked) : { repo, revision, commit }
  const files = await listHubFiles(hub, model)
  const named = (file: string) => `${model.repo}@${model.commit.slice(0, 7)}/${file}`
  if (!files.has('config.json')) {
    throw new AppError(
      'CHECKPOINT_INVALID',
      `${model.repo} at ${model.revision} has no config.json`,
      'Name a repository of a transformers model: this one may hold a tokenizer, an adapter or another format.',
    )
  }
  const configBytes = await readHubFile(hub, model, 'config.json', maxConfigBytes)
  const config = parseConfigJson(configBytes, named('config.json'))
  let bytesFetched = configBytes.length

  const layout = weightLayouts.find(({ index, single }) => files.has(index) || files.has(single))
  const shards = new Map<string, string[]>()
  if (layout && files.has(layout.index)) {
    const index = await readHubFile(hub, model, layout.index, maxIndexBytes)
    bytesFetched += index.length
    for (const [file, promised] of parseIndex(index, named(layout.index))) shards.set(file, promised)
  } else if (layout) shards.set(layout.single, [])

  const headers = await mapBounded([...shards.keys()].sort(), parallel, async (file) => {
    const size = files.get(file)?.size
    if (size === undefined) {
      throw new AppError('CHECKPOINT_INVALID', `the index of ${model.repo} names ${file}, which it lacks`)
    }
    const from = layout?.format === 'pytorch' ? piecesOf(hub, model, file, size) : headOf(hub, model, file, size)
    const source = { name: named(file), size, read: from.read }
    const header = layout?.format === 'pytorch' ? await readPytorchFrom(source) : await readHeaderFrom(source)
    return { file, header, fetched: from.fetched() }
  })
  const table = createTensorTable(`${model.repo}@${model.commit}`)
  let synthetic = false
  for (const { file, header, fetched } of headers) {
    table.add(header, file, shards.get(file) ?? [])
    synthetic ||= header.metadata[syntheticKey] === 'true'
    bytesFetched += fetched
  }
  return { ...model, config, files, tensors: table.tensors, unread: table.unread, synthetic, bytesFetched }
}

/**
 * `length` bytes of a hub's file from `offset` on.
 * @throws AppError as openRemoteHeaders; CHECKPOINT_INVALID where the file ends before
 */
export async function readRemoteBytes(
  hub: Hub,
  model: PinnedModel,
  file: string,
  { offset, length }: { offset: number; length: number },
): Promise<Buffer> {
  if (length === 0) return Buffer.alloc(0)
  const bytes = await retrying(hub, model, async (ask) => {
    const range = `bytes=${offset}-${offset + length - 1}`
    const response = await ask({ address: addressOf(hub, model, file), about: model, init: { headers: { range } } })
    // A server without ranges sends everything: what comes before is passed over, what comes after never read.
    let skip = response.status === 206 ? 0 : offset
    const kept: Uint8Array[] = []
    let missing = length
    for await (const chunk of readChunks(hub, response)) {
      const part = chunk.subarray(skip, skip + missing)
      skip = Math.max(0, skip - chunk.length)
      kept.push(part)
      missing -= part.length
      if (missing === 0) return Buffer.concat(kept)
    }
    throw new Error(`it ended ${missing} bytes before the ${length} that were asked for`)
  })
  return bytes
}

/** Any pieces of a remote file: torch's directory lies at its end, and its storages have a local header each. */
function piecesOf(hub: Hub, model: PinnedModel, file: string, size: number) {
  let fetched = 0
  return {
    fetched: () => fetched,
    async read(offset: number, length: number): Promise<Buffer> {
      const wanted = Math.max(0, Math.min(length, size - offset))
      fetched += wanted
      return readRemoteBytes(hub, model, file, { offset, length: wanted })
    },
  }
}

/** The head of a remote file: its first bytes are fetched once, whatever is read of them. */
function headOf(hub: Hub, model: PinnedModel, file: string, size: number) {
  let head = Buffer.alloc(0)
  let fetched = 0
  const more = async (until: number) => {
    const length = Math.min(until, size) - head.length
    if (length <= 0) return
    head = Buffer.concat([head, await readRemoteBytes(hub, model, file, { offset: head.length, length })])
    fetched += length
  }
  return {
    fetched: () => fetched,
    async read(offset: number, length: number): Promise<Buffer> {
      await more(Math.max(firstBytes, offset + length))
      return head.subarray(offset, offset + length)
    },
  }
}
