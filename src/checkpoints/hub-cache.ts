import { randomBytes } from 'node:crypto'
import { copyFile, lstat, mkdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import type { PinnedModel } from './hub.ts'
import { type HubModel, isCommit, isRepoName, nameOfRepo } from './hub-names.ts'

/** Where one repository lies in the cache that Python's huggingface_hub shares (its "cache-system reference"). */
export interface RepoCache {
  /** models--ORG--NAME */
  directory: string
  /** files by the hash of their content */
  blobs: string
  /** a file for each branch, tag or refs/pr/N that was asked for: the commit it stood for */
  refs: string
  /** a folder for each commit, whose files are links to blobs */
  snapshots: string
  /** an empty file for each that a commit is known to lack */
  absent: string
}

const prefix = 'models--'

export function repoCache(cacheDir: string, repo: string): RepoCache {
  const directory = join(cacheDir, prefix + repo.split('/').join('--'))
  return {
    directory,
    blobs: join(directory, 'blobs'),
    refs: join(directory, 'refs'),
    snapshots: join(directory, 'snapshots'),
    absent: join(directory, '.no_exist'),
  }
}

/** The repository of a folder of the cache, by the folder's name; null: it is none of a model. */
export function repoOfFolder(name: string): string | null {
  const repo = name.startsWith(prefix) ? name.slice(prefix.length).split('--').join('/') : ''
  return isRepoName(repo) ? repo : null
}

/** A snapshot's repository and commit, where a folder is one: .../models--ORG--NAME/snapshots/COMMIT. */
export function snapshotOf(folder: string): { repo: string; commit: string; blobs: string } | null {
  const directory = dirname(dirname(folder))
  const repo = repoOfFolder(basename(directory))
  if (repo === null || basename(dirname(folder)) !== 'snapshots' || !isCommit(basename(folder))) return null
  return { repo, commit: basename(folder), blobs: join(directory, 'blobs') }
}

/** The name of a model in a folder: the folder's own, or of a snapshot in the cache its repository's. */
export function nameOfFolder(folder: string): string {
  const snapshot = snapshotOf(folder)
  return snapshot === null ? basename(folder) : nameOfRepo(snapshot.repo)
}

/** The commit that a revision stood for when it was last asked; null: it never was. */
export async function cachedCommit(cacheDir: string, { repo, revision }: HubModel): Promise<string | null> {
  if (isCommit(revision)) return revision
  const commit = await readFile(join(repoCache(cacheDir, repo).refs, revision), 'utf8').catch(() => '')
  return isCommit(commit.trim()) ? commit.trim() : null
}

/** Writes down what a revision stands for, for who comes without a network. */
export async function rememberCommit(cacheDir: string, { repo, revision, commit }: PinnedModel): Promise<void> {
  if (isCommit(revision) || (await cachedCommit(cacheDir, { repo, revision })) === commit) return
  const file = join(repoCache(cacheDir, repo).refs, revision)
  const part = `${file}.${randomBytes(4).toString('hex')}.tmp`
  await mkdir(dirname(file), { recursive: true })
  await writeFile(part, commit)
  await rename(part, file)
}

/** Whether a file is there; a link counts where what it leads to is there. */
export async function isPresent(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null
}

/**
 * Makes a blob a file of a snapshot, by a relative link as Python does, so that the cache can be moved; where links are not
 * allowed (Windows), by a copy.
 */
export async function linkBlob(blob: string, file: string): Promise<void> {
  if (await isPresent(file)) return
  await mkdir(dirname(file), { recursive: true })
  // A link that leads nowhere: its blob was removed.
  if ((await lstat(file).catch(() => null)) !== null) await rm(file)
  try {
    await symlink(relative(dirname(file), blob), file)
  } catch (error) {
    // Somebody else has linked it meanwhile.
    if (await isPresent(file)) return
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) throw error
    const part = `${file}.${randomBytes(4).toString('hex')}.tmp`
    await copyFile(blob, part)
    await rename(part, file)
  }
}

/** Writes down that a commit lacks a file, so that nobody asks again. */
export async function rememberAbsent(cacheDir: string, { repo, commit }: PinnedModel, file: string): Promise<void> {
  const marker = join(repoCache(cacheDir, repo).absent, commit, file)
  if (await isPresent(marker)) return
  await mkdir(dirname(marker), { recursive: true })
  await writeFile(marker, '')
}
