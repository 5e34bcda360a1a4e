import { AppError } from '../errors.ts'
import { checkHubModel, type HubModel, isCommit } from './hub-names.ts'
import { fetchOf, type Hub, requestWhole } from './hub-request.ts'
import { quote } from './quote.ts'

/** A file in the root of a repository. */
export interface HubFile {
  name: string
  size: number
  /** hash of the content; its hexadecimal digits name the file in the cache */
  hash: { algorithm: 'sha256' | 'git-sha1'; digest: string }
}

/** A model at one commit. */
export interface PinnedModel extends HubModel {
  /** 40 hexadecimal digits */
  commit: string
}

/**
 * The commit that a revision stands for now; a commit stands for itself, and nothing is asked.
 * @throws AppError VALIDATION_FAILED, NOT_FOUND, HUB_ACCESS_DENIED, HUB_RATE_LIMITED, HUB_UNAVAILABLE
 */
export async function pinRevision(hub: Hub, model: HubModel): Promise<PinnedModel> {
  checkHubModel(model)
  const { repo, revision } = model
  if (isCommit(revision)) return { ...model, commit: revision }
  const { modelInfo } = await import('@huggingface/hub')
  const { sha } = await modelInfo({
    name: repo,
    revision,
    additionalFields: ['sha'],
    hubUrl: hub.settings.endpoint,
    fetch: fetchOf(hub, model),
  }).catch((cause: unknown) => Promise.reject(asHubError(hub, cause)))
  if (typeof sha === 'string' && isCommit(sha)) return { ...model, commit: sha }
  throw malformed(hub, `gave ${quote(sha)} for the commit of ${repo} at ${revision}`)
}

/**
 * The files in the root of a repository at one commit, by name: what kvscope reads lies there.
 * @throws as pinRevision
 */
export async function listHubFiles(hub: Hub, { repo, revision, commit }: PinnedModel): Promise<Map<string, HubFile>> {
  const { listFiles } = await import('@huggingface/hub')
  const files = new Map<string, HubFile>()
  const fetch = fetchOf(hub, { repo, revision })
  try {
    for await (const entry of listFiles({ repo, revision: commit, hubUrl: hub.settings.endpoint, fetch })) {
      if (entry.type !== 'file') continue
      files.set(entry.path, fileOf(hub, entry))
      if (files.size > maxFiles) throw malformed(hub, `lists more than ${maxFiles} files of ${repo}`)
    }
  } catch (cause) {
    throw asHubError(hub, cause)
  }
  return files
}

const maxFiles = 20_000

/** Small files are in Git, which hashes them with its own prefix; large ones beside it, by sha256. */
function fileOf(
  hub: Hub,
  { path, size, oid, lfs }: { path: string; size: number; oid?: string; lfs?: { oid: string; size: number } },
): HubFile {
  if (/[\\/\0]/.test(path) || path === '.' || path === '..') throw malformed(hub, `lists a file named ${quote(path)}`)
  if (lfs !== undefined && /^[0-9a-f]{64}$/.test(lfs.oid) && Number.isSafeInteger(lfs.size)) {
    return { name: path, size: lfs.size, hash: { algorithm: 'sha256', digest: lfs.oid } }
  }
  if (lfs === undefined && oid !== undefined && isCommit(oid) && Number.isSafeInteger(size)) {
    return { name: path, size, hash: { algorithm: 'git-sha1', digest: oid } }
  }
  throw malformed(hub, `lists ${quote(path)} with size ${size} and hash ${quote(lfs?.oid ?? oid)}`)
}

/** Where a file's bytes are. */
export function addressOf({ settings }: Hub, { repo, commit }: PinnedModel, file: string): string {
  return `${settings.endpoint}/${repo}/resolve/${commit}/${encodeURIComponent(file)}`
}

/**
 * A small file whole.
 * @throws as pinRevision; CHECKPOINT_INVALID where it is longer than `maxBytes`
 */
export async function readHubFile(hub: Hub, model: PinnedModel, file: string, maxBytes: number): Promise<Buffer> {
  return (await requestWhole(hub, { address: addressOf(hub, model, file), about: model }, maxBytes)).bytes
}

function malformed({ settings }: Hub, what: string): AppError {
  return new AppError(
    'HUB_UNAVAILABLE',
    `${settings.endpoint} ${what}`,
    'Check that HF_ENDPOINT is a Hugging Face hub.',
  )
}

/** What the hub's client throws of its own: answers that are no JSON, or lack what it reads. */
function asHubError(hub: Hub, cause: unknown): unknown {
  if (cause instanceof AppError || hub.signal?.aborted) return cause
  const said = cause instanceof Error ? cause.message : String(cause)
  return new AppError(
    'HUB_UNAVAILABLE',
    `${hub.settings.endpoint} gave an answer that cannot be read: ${said}`,
    'Check that HF_ENDPOINT is a Hugging Face hub.',
    cause,
  )
}
