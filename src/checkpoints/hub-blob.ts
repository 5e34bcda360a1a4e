import { createHash, type Hash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { AppError } from '../errors.ts'
import { addressOf, type HubFile, type PinnedModel } from './hub.ts'
import { type Hub, readChunks, retrying } from './hub-request.ts'
import { isRunning } from './write-beside.ts'

/**
 * Downloads a file of a repository to `blob`, unless it is there. What an earlier attempt left is gone on from; the file
 * takes its name only when its size and hash are those that the hub lists, so a reader sees the whole file or none.
 * @param onBytes told of bytes that have come, or were there already
 * @throws AppError CHECKPOINT_INVALID where the hash differs, OUT_OF_DISK, and those of asking the hub
 */
export async function fetchBlob(
  hub: Hub,
  model: PinnedModel,
  file: HubFile,
  blob: string,
  onBytes: (bytes: number) => void,
): Promise<void> {
  if ((await stat(blob).catch(() => null))?.size === file.size) return onBytes(file.size)
  let part: string | null = null
  try {
    await mkdir(dirname(blob), { recursive: true })
    part = await claimPart(blob)
    await fillPart(hub, model, file, part, onBytes)
    await rename(part, blob)
  } catch (error) {
    // Kept for the next attempt under the name that anybody looks for; what turned out wrong has been removed.
    if (part !== null) await rename(part, `${blob}.incomplete`).catch(() => undefined)
    throw asDiskError(error, blob)
  }
}

async function fillPart(
  hub: Hub,
  model: PinnedModel,
  file: HubFile,
  part: string,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const handle = await open(part, 'a+')
  try {
    const { hash, length } = await hashStart(handle, part, file)
    const state = { hash, length }
    onBytes(length)
    if (state.length < file.size || file.size === 0) {
      // Progress begins anew where the server does.
      await retrying(hub, model, (ask) =>
        receive(hub, ask({ address: addressOf(hub, model, file.name), about: model, init: rangeFrom(state.length) }), {
          handle,
          part,
          file,
          state,
          onBytes,
        }),
      )
    }
    await handle.sync()
    const digest = state.hash.digest('hex')
    if (digest === file.hash.digest) return
    await rm(part, { force: true })
    throw new AppError(
      'CHECKPOINT_INVALID',
      `${file.name} of ${model.repo} came with the ${file.hash.algorithm} ${digest}, and the hub lists ${file.hash.digest}`,
      'What came has been removed: try again. If it comes wrong again, something between here and the hub changes it.',
    )
  } finally {
    await handle.close()
  }
}

interface Receiving {
  handle: FileHandle
  part: string
  file: HubFile
  /** what has been written so far */
  state: { hash: Hash; length: number }
  onBytes: (bytes: number) => void
}

/** Appends what one answer brings. What is written stays written when it breaks off. */
async function receive(
  hub: Hub,
  coming: Promise<Response>,
  { handle, part, file, state, onBytes }: Receiving,
): Promise<void> {
  const response = await coming
  if (response.status !== 206 && state.length > 0) {
    // The server knows no ranges, or the file has changed under its name: from the beginning.
    await handle.truncate(0)
    onBytes(-state.length)
    Object.assign(state, { hash: startHash(file), length: 0 })
  }
  for await (const chunk of readChunks(hub, response)) {
    if (state.length + chunk.length > file.size) {
      throw new AppError(
        'CHECKPOINT_INVALID',
        `${file.name} is longer than the ${file.size} bytes that the hub lists`,
        'Try again; if it is so again, report it to the hub.',
      )
    }
    // A disk that cannot be written is no reason to ask the hub again.
    await writeWhole(handle, chunk).catch((error: unknown) => Promise.reject(asDiskError(error, part)))
    state.hash.update(chunk)
    state.length += chunk.length
    onBytes(chunk.length)
  }
  if (state.length < file.size) throw new Error(`it broke off after ${state.length} of ${file.size} bytes`)
}

async function writeWhole(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let written = 0; written < chunk.length; ) written += (await handle.write(chunk, written)).bytesWritten
}

const rangeFrom = (length: number) => (length === 0 ? {} : { headers: { range: `bytes=${length}-` } })

/** Git hashes a file with its kind and length before it. */
function startHash({ hash: { algorithm }, size }: HubFile): Hash {
  return algorithm === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`)
}

/** Reads what an earlier attempt wrote; more than the file has cannot be of it. */
async function hashStart(handle: FileHandle, part: string, file: HubFile): Promise<Receiving['state']> {
  const { size } = await handle.stat()
  if (size > file.size) await handle.truncate(0)
  const hash = startHash(file)
  if (size === 0 || size > file.size) return { hash, length: 0 }
  for await (const chunk of createReadStream(part)) hash.update(chunk)
  return { hash, length: size }
}

/** A part of another machine, or container, that shares the cache is free this long after its last byte. */
const abandonedAfterMs = 10 * 60_000
/** This machine, in a part's name: whether its writer lives can be seen here only. */
const here = createHash('sha1').update(hostname()).digest('hex').slice(0, 6)

/**
 * A name for this attempt alone: that of an unfinished file, taken over by renaming it, which only one can, or a new one.
 * So two processes that want one file do not write into each other's.
 */
async function claimPart(blob: string): Promise<string> {
  const mine = `${blob}.${here}-${process.pid}-${randomBytes(4).toString('hex')}.incomplete`
  for (const left of await unfinished(blob)) {
    const taken = await rename(left, mine).then(
      () => true,
      () => false,
    )
    if (taken) return mine
  }
  return mine
}

async function unfinished(blob: string): Promise<string[]> {
  const folder = dirname(blob)
  const names = (await readdir(folder)).filter(
    (name) => name.startsWith(`${basename(blob)}.`) && name.endsWith('.incomplete'),
  )
  const found: { path: string; size: number }[] = []
  for (const name of names) {
    const path = join(folder, name)
    const status = await stat(path).catch(() => null)
    if (status !== null && isFree(name.slice(basename(blob).length + 1), status.mtimeMs)) {
      found.push({ path, size: status.size })
    }
  }
  return found.sort((a, b) => b.size - a.size).map(({ path }) => path)
}

/** `incomplete` belongs to nobody; HOST-PID-RANDOM.incomplete to its process while it lives. Python's are its own. */
function isFree(rest: string, mtimeMs: number): boolean {
  if (rest === 'incomplete') return true
  const [, host, pid] = /^([0-9a-f]{6})-(\d+)-[0-9a-f]{8}\.incomplete$/.exec(rest) ?? []
  if (host === undefined) return false
  return host === here ? !isRunning(Number(pid)) : Date.now() - mtimeMs > abandonedAfterMs
}

/** What keeps the cache from being written, in words; other errors as they are. */
function asDiskError(error: unknown, path: string): unknown {
  if (error instanceof AppError || !(error instanceof Error) || !('code' in error)) return error
  switch (error.code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new AppError(
        'OUT_OF_DISK',
        `the disk is full: ${path} could not be written`,
        'Free some space (`kvscope cache prune` removes what the cache no longer needs), or set HF_HUB_CACHE to a larger disk. What has come is kept.',
        error,
      )
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new AppError(
        'VALIDATION_FAILED',
        `the hub's cache cannot be written: ${error.message}`,
        'Set HF_HUB_CACHE to a folder that you may write.',
        error,
      )
    default:
      return error
  }
}
