import type { Dirent } from 'node:fs'
import { readdir, readFile, realpath, rm, rmdir, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { repoCache, repoOfFolder } from './hub-cache.ts'
import { isCommit } from './hub-names.ts'

/** A model at one commit, as far as it is in the cache. */
export interface CachedRevision {
  commit: string
  /** branches, tags and refs/pr/N that stood for it when they were last asked; none: nothing leads to it but its commit */
  refs: string[]
  files: number
  /** of all its files; those it shares with other commits are on disk once */
  bytes: number
  path: string
  /** its files' contents: real paths and sizes */
  blobs: { path: string; bytes: number }[]
}

export interface CachedModel {
  repo: string
  path: string
  /** what it takes on disk */
  bytes: number
  revisions: CachedRevision[]
  /** files that no revision uses: unfinished downloads, and contents of commits that are gone */
  unused: { path: string; bytes: number }[]
  /** when a file of it was last written, milliseconds since 1970 */
  modifiedMs: number
}

/** A part is left alone for so long after its last byte: somebody may be at it. */
const busyMs = 60 * 60 * 1000

/**
 * The models in the cache, by name. Data sets and whatever else lies there are Python's own. Folders inside a snapshot count
 * too: Python fetches them, and the hub's own client (scanCacheDir) passes over them.
 */
export async function scanCache(cacheDir: string): Promise<CachedModel[]> {
  const models: CachedModel[] = []
  for (const entry of await entriesOf(cacheDir)) {
    const repo = entry.isDirectory() ? repoOfFolder(entry.name) : null
    if (repo !== null) models.push(await scanModel(cacheDir, repo))
  }
  return models.sort((a, b) => (a.repo < b.repo ? -1 : 1))
}

async function scanModel(cacheDir: string, repo: string): Promise<CachedModel> {
  const places = repoCache(cacheDir, repo)
  const refs = await refsByCommit(places.refs)
  const sizes = new Map<string, { bytes: number; modifiedMs: number }>()
  const revisions: CachedRevision[] = []
  for (const entry of await entriesOf(places.snapshots)) {
    if (!entry.isDirectory() || !isCommit(entry.name)) continue
    const path = join(places.snapshots, entry.name)
    const blobs: CachedRevision['blobs'] = []
    for (const file of await filesBelow(path)) {
      const blob = await realpath(file).catch(() => null)
      if (blob === null) continue
      const size = sizes.get(blob) ?? (await sizeOf(blob))
      sizes.set(blob, size)
      blobs.push({ path: blob, bytes: size.bytes })
    }
    const bytes = sum(blobs)
    revisions.push({ commit: entry.name, refs: refs.get(entry.name) ?? [], files: blobs.length, bytes, path, blobs })
  }
  const unused: { path: string; bytes: number }[] = []
  for (const file of await filesBelow(places.blobs)) {
    const path = await realpath(file).catch(() => null)
    if (path === null || sizes.has(path)) continue
    const size = await sizeOf(path)
    if (Date.now() - size.modifiedMs > busyMs || !path.endsWith('.incomplete')) unused.push({ path, bytes: size.bytes })
    sizes.set(path, size)
  }
  const all = [...sizes.values()]
  return {
    repo,
    path: places.directory,
    bytes: sum(all),
    revisions,
    unused,
    modifiedMs: all.reduce((latest, { modifiedMs }) => Math.max(latest, modifiedMs), 0),
  }
}

/** What a pruning would remove. */
export interface PrunePlan {
  /** whole models */
  models: { repo: string; path: string; bytes: number }[]
  /** commits that no branch or tag leads to */
  revisions: { repo: string; commit: string; path: string }[]
  /** contents and unfinished downloads that nothing uses then */
  blobs: { repo: string; path: string; bytes: number }[]
  /** that come free */
  bytes: number
}

/**
 * Says what of the cache goes: the models named as a whole; where none is named, of every model the commits that no ref
 * leads to, and what nobody uses.
 */
export function planPrune(models: readonly CachedModel[], named: readonly string[]): PrunePlan {
  const plan: PrunePlan = { models: [], revisions: [], blobs: [], bytes: 0 }
  if (named.length > 0) {
    plan.models = models
      .filter(({ repo }) => named.includes(repo))
      .map(({ repo, path, bytes }) => ({ repo, path, bytes }))
    return { ...plan, bytes: sum(plan.models) }
  }
  for (const { repo, revisions, unused } of models) {
    const kept = new Set(
      revisions.filter(({ refs }) => refs.length > 0).flatMap(({ blobs }) => blobs.map(({ path }) => path)),
    )
    const gone = revisions.filter(({ refs }) => refs.length === 0)
    plan.revisions.push(...gone.map(({ commit, path }) => ({ repo, commit, path })))
    plan.blobs.push(...unused.map((blob) => ({ repo, ...blob })))
    const freed = gone.flatMap(({ blobs }) => blobs).filter(({ path }) => !kept.has(path))
    // Two commits that go may share a file.
    plan.blobs.push(...new Map(freed.map((blob) => [blob.path, { repo, ...blob }])).values())
  }
  return { ...plan, bytes: sum(plan.blobs) }
}

const sum = (parts: readonly { bytes: number }[]) => parts.reduce((total, { bytes }) => total + bytes, 0)

/** Removes what a plan says. Links go before what they lead to, so that nobody finds a file without its content. */
export async function prune({ models, revisions, blobs }: PrunePlan): Promise<void> {
  for (const { path } of models) {
    await rm(join(path, 'snapshots'), { recursive: true, force: true })
    await rm(path, { recursive: true, force: true })
  }
  for (const { path } of revisions) await rm(path, { recursive: true, force: true })
  for (const { path } of blobs) await rm(path, { force: true })
  // A model of which nothing is left leaves empty folders.
  for (const { path } of revisions) await rmdir(join(path, '..')).catch(() => undefined)
}

async function refsByCommit(refs: string): Promise<Map<string, string[]>> {
  const byCommit = new Map<string, string[]>()
  for (const file of await filesBelow(refs)) {
    const commit = (await readFile(file, 'utf8').catch(() => '')).trim()
    byCommit.set(commit, [...(byCommit.get(commit) ?? []), relative(refs, file).split('\\').join('/')])
  }
  return byCommit
}

async function filesBelow(folder: string): Promise<string[]> {
  const files: string[] = []
  for (const entry of await entriesOf(folder)) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) files.push(...(await filesBelow(path)))
    else files.push(path)
  }
  return files
}

/** Of a folder that is not there: none. */
function entriesOf(folder: string): Promise<Dirent[]> {
  return readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return []
    throw error
  })
}

async function sizeOf(path: string): Promise<{ bytes: number; modifiedMs: number }> {
  const status = await stat(path).catch(() => null)
  return { bytes: status?.size ?? 0, modifiedMs: status?.mtimeMs ?? 0 }
}
