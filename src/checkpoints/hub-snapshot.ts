import { mkdir, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../errors.ts'
import { ensureDiskSpace } from './disk-space.ts'
import { type HubFile, listHubFiles, type PinnedModel, pinRevision } from './hub.ts'
import { fetchBlob } from './hub-blob.ts'
import { cachedCommit, isPresent, linkBlob, rememberAbsent, rememberCommit, repoCache } from './hub-cache.ts'
import { checkHubModel, type HubModel } from './hub-names.ts'
import { checkOnline, type Hub } from './hub-request.ts'
import { mapBounded } from './map-bounded.ts'
import { readSmallFile } from './regular-file.ts'
import { maxIndexBytes, parseIndex, weightLayouts } from './shards.ts'

/** Bytes that have come, of all that a model takes here; what was in the cache counts as come. */
export type OnDownload = (done: number, total: number) => void

/** What kvscope reads beside the weights, where a repository has it. */
const smallNames = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'generation_config.json']
/** Files that are downloaded at a time. */
const parallel = 4

/**
 * The commit that a revision stands for: as the hub says, or without a network as it said last.
 * @throws AppError VALIDATION_FAILED, NOT_FOUND, HUB_ACCESS_DENIED, HUB_RATE_LIMITED, HUB_UNAVAILABLE
 */
export async function pinModel(hub: Hub, model: HubModel): Promise<PinnedModel> {
  checkHubModel(model)
  if (!hub.settings.offline) return pinRevision(hub, model)
  const commit = await cachedCommit(hub.settings.cacheDir, model)
  if (commit === null) checkOnline(hub, model)
  return { ...model, commit: commit ?? '' }
}

/**
 * The folder of a pinned model where the cache has it; null where something is missing.
 * @param what `all`: everything that kvscope reads; `weights`: what says what the model is, without its tokenizer. Of what
 * Python has fetched it is not known which small files the repository lacks; without a network that does not matter
 */
export async function findSnapshot(
  hub: Hub,
  { repo, commit }: PinnedModel,
  what: 'all' | 'weights' = hub.settings.offline ? 'weights' : 'all',
): Promise<string | null> {
  const { snapshots, absent } = repoCache(hub.settings.cacheDir, repo)
  const folder = join(snapshots, commit)
  if (!(await isPresent(join(folder, 'config.json')))) return null
  for (const name of smallNames) {
    if (what === 'weights' || (await isPresent(join(folder, name)))) continue
    if (!(await isPresent(join(absent, commit, name)))) return null
  }
  const weights = await weightNames(folder, (name) => isPresent(join(folder, name)))
  if (weights.length === 0) return null
  for (const name of weights) if (!(await isPresent(join(folder, name)))) return null
  return realpath(folder)
}

/**
 * Brings a pinned model into the cache, as far as it is not there, and gives its folder. Of the repository only what kvscope
 * reads is fetched: config, tokenizer and safetensors, or pytorch_model.bin where there are none.
 * @throws AppError NOT_FOUND, HUB_ACCESS_DENIED, HUB_RATE_LIMITED, HUB_UNAVAILABLE, CHECKPOINT_INVALID, OUT_OF_DISK
 */
export async function fetchSnapshot(hub: Hub, model: PinnedModel, onDownload: OnDownload): Promise<string> {
  const found = await findSnapshot(hub, model)
  if (found !== null) {
    // A cache that is only read may be somebody else's.
    if (!hub.settings.offline) await rememberCommit(hub.settings.cacheDir, model).catch(() => undefined)
    return found
  }
  checkOnline(hub, model)
  const { cacheDir } = hub.settings
  const { blobs, snapshots } = repoCache(cacheDir, model.repo)
  const folder = join(snapshots, model.commit)
  const files = await listHubFiles(hub, model)
  requireModel(files, model)

  let done = 0
  let total = 0
  const fetchAll = async (names: readonly string[]) => {
    const listed = names.map((name) => files.get(name) ?? lacks(model, name))
    const present = await Promise.all(listed.map(({ name }) => isPresent(join(folder, name))))
    const wanted = listed.filter((_file, index) => !present[index])
    total += wanted.reduce((sum, { size }) => sum + size, 0)
    await ensureDiskSpace(cacheDir, await missingBytes(blobs, wanted), 'HF_HUB_CACHE')
    await mapBounded(wanted, parallel, async (file) => {
      const blob = join(blobs, file.hash.digest)
      await fetchBlob(hub, model, file, blob, (bytes) => {
        done += bytes
        onDownload(done, total)
      })
      await linkBlob(blob, join(folder, file.name))
    })
  }
  await mkdir(folder, { recursive: true })
  const small = smallNames.filter((name) => files.has(name))
  const layout = weightLayouts.find(({ index, single }) => files.has(index) || files.has(single))
  await fetchAll(layout && files.has(layout.index) ? [...small, layout.index] : small)
  await fetchAll(await weightNames(folder, async (name) => files.has(name)))
  for (const name of smallNames) if (!files.has(name)) await rememberAbsent(cacheDir, model, name)
  await rememberCommit(cacheDir, model)
  return realpath(folder)
}

/** The weight files of a snapshot: the shards of its index, or the one file; none where it has neither. */
async function weightNames(folder: string, has: (name: string) => Promise<boolean>): Promise<string[]> {
  for (const { index: indexFile, single } of weightLayouts) {
    const index = join(folder, indexFile)
    if (await isPresent(index)) {
      const shards = parseIndex(await readSmallFile(await realpath(index), maxIndexBytes), index)
      return [...shards.keys()].sort()
    }
    if (await has(single)) return [single]
  }
  return []
}

async function missingBytes(blobs: string, files: readonly HubFile[]): Promise<number> {
  let bytes = 0
  for (const { hash, size } of files) {
    const there = await stat(join(blobs, hash.digest))
      .catch(() => stat(join(blobs, `${hash.digest}.incomplete`)))
      .catch(() => null)
    bytes += Math.max(0, size - (there?.size ?? 0))
  }
  return bytes
}

function requireModel(files: ReadonlyMap<string, HubFile>, { repo, revision }: PinnedModel): void {
  if (!files.has('config.json')) {
    throw new AppError(
      'CHECKPOINT_INVALID',
      `${repo} at ${revision} has no config.json`,
      'Name a repository of a transformers model: this one may hold a tokenizer, an adapter or another format.',
    )
  }
  const wanted = weightLayouts.flatMap(({ single, index }) => [single, index])
  if (wanted.some((name) => files.has(name))) return
  const weights = [...files.keys()].filter((name) => /\.(bin|pt|pth|h5|msgpack|gguf|onnx|safetensors)$/.test(name))
  throw new AppError(
    'CHECKPOINT_INVALID',
    `${repo} at ${revision} has neither ${wanted.join(' nor ')}${weights.length > 0 ? `, but ${weights.slice(0, 4).join(', ')}` : ''}`,
    'Look for a conversion to safetensors among its revisions (refs/pr/N), or save it so.',
  )
}

function lacks({ repo, revision }: PinnedModel, name: string): never {
  throw new AppError(
    'CHECKPOINT_INVALID',
    `${repo} at ${revision} has no ${name}, which its index of weights names`,
    'Choose another revision of the repository.',
  )
}
