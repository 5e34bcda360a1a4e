import { AppError } from '../errors.ts'
import { quote } from './quote.ts'

/** A model of a hub as it is asked for. */
export interface HubModel {
  /** ORG/NAME, or NAME alone for the oldest */
  repo: string
  /** branch, tag, refs/pr/N or commit */
  revision: string
}

const commitPattern = /^[0-9a-f]{40}$/
const namePart = /^(?![-.])(?!.*(--|\.\.))[\w.-]{1,96}(?<![-.])$/

/** Whether a revision names one commit for ever: 40 hexadecimal digits, as Git has them. */
export function isCommit(revision: string): boolean {
  return commitPattern.test(revision)
}

/**
 * Whether a repository's name is one that the hub gives: letters, digits, `-`, `_` and `.`, no `--` or `..`
 * (huggingface_hub, validate_repo_id). Such a name is safe as a part of a path and of an address.
 */
export function isRepoName(repo: string): boolean {
  const parts = repo.split('/')
  return repo.length <= 96 && parts.length <= 2 && parts.every((part) => namePart.test(part)) && !repo.endsWith('.git')
}

/** Whether a revision can be a file below the cache's refs/ without leaving it, and an address's part. */
export function isRevisionName(revision: string): boolean {
  return (
    revision.length <= 200 &&
    revision.split('/').every((part) => /^[\w.+-]+$/.test(part) && part !== '.' && part !== '..')
  )
}

/** @throws AppError VALIDATION_FAILED naming what no hub would have */
export function checkHubModel({ repo, revision }: HubModel): void {
  if (!isRepoName(repo)) {
    throw new AppError('VALIDATION_FAILED', `${quote(repo)} is no repository's name`, 'Give ORG/NAME, such as gpt2.')
  }
  if (isRevisionName(revision)) return
  throw new AppError(
    'VALIDATION_FAILED',
    `${quote(revision)} is no revision's name`,
    'Give a branch, a tag, refs/pr/N or a commit.',
  )
}

/**
 * Reads `ORG/NAME[@REVISION]`, what follows `hub:` on a command line.
 * @throws AppError VALIDATION_FAILED
 */
export function parseHubModel(text: string): HubModel {
  const at = text.indexOf('@')
  const model = at < 0 ? { repo: text, revision: 'main' } : { repo: text.slice(0, at), revision: text.slice(at + 1) }
  checkHubModel(model)
  return model
}

/** The model's name without its organisation. */
export function nameOfRepo(repo: string): string {
  return repo.slice(repo.indexOf('/') + 1)
}
