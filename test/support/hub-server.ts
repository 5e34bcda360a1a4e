import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

/** What goes wrong with one answer, in place of what would be served. */
export type HubFault =
  | { status: number; headers?: Record<string, string> }
  /** the connection breaks after so many bytes of the body */
  | { breakAfter: number }
  /** as breakAfter, without an end: nothing comes any more */
  | { stallAfter: number }
  /** one byte of the body is another */
  | { corrupt: true }
  /** the whole file comes, whatever range was asked for */
  | { ignoreRange: true }

export interface SeenRequest {
  method: string
  /** path with query, as it was sent */
  path: string
  /** the hub itself, or where large files are served from */
  host: 'hub' | 'cdn'
  range: string | null
  authorization: string | null
  /** bytes of the body that were sent */
  sent: number
}

interface Repo {
  /** by commit */
  commits: Map<string, Map<string, Buffer>>
  /** by branch, tag or refs/pr/N */
  refs: Map<string, string>
  /** the only token that may read it; null: everybody may */
  token: string | null
  gated: boolean
}

/**
 * A server that speaks the hub's paths, as huggingface_hub and @huggingface/hub ask them: a model's commit, its tree in
 * pages, files directly or by a redirect to another origin, ranges, and the hub's ways to refuse.
 */
export interface TestHub {
  readonly url: string
  readonly requests: SeenRequest[]
  /** Adds files to a revision of a repository, as one commit. @returns the commit */
  push(repo: string, files: Record<string, Buffer | string>, revision?: string): string
  /** The same of all files in a folder. */
  pushFolder(repo: string, folder: string, revision?: string): string
  /** Who may read a repository from now on. */
  protect(repo: string, token: string, how?: 'gated' | 'private'): void
  /** Lets the next answers to requests whose path has `part` go wrong, one fault each. */
  failNext(part: string, ...faults: HubFault[]): void
  close(): Promise<void>
}

/** Files of more bytes are kept beside Git, and served from the other origin. */
const largeBytes = 1024
/** entries of one page of a tree */
const pageSize = 3

export async function startTestHub(): Promise<TestHub> {
  const repos = new Map<string, Repo>()
  const requests: SeenRequest[] = []
  const faults: { part: string; fault: HubFault }[] = []
  const takeRefusal = (path: string) => {
    const index = faults.findIndex(({ part, fault }) => path.includes(part) && 'status' in fault)
    const [found] = index < 0 ? [] : faults.splice(index, 1)
    return found !== undefined && 'status' in found.fault ? found.fault : null
  }
  const takeBodyFault = (path: string) => {
    const index = faults.findIndex(({ part, fault }) => path.includes(part) && !('status' in fault))
    const [found] = index < 0 ? [] : faults.splice(index, 1)
    return found === undefined || 'status' in found.fault ? null : found.fault
  }

  const cdn = createServer((request, response) => {
    const seen = look(request, 'cdn')
    const [, repo = '', commit = '', file = ''] = seen.path.split('!').map(decodeURIComponent)
    const bytes = repos.get(repo)?.commits.get(commit)?.get(file)
    if (bytes === undefined) return refuse(response, 404)
    const refusal = takeRefusal(seen.path)
    if (refusal !== null) return refuse(response, refusal.status, refusal.headers)
    serve(request, response, bytes, seen, takeBodyFault(seen.path))
  })
  const hub = createServer((request, response) => {
    const seen = look(request, 'hub')
    const url = new URL(seen.path, hubUrl)
    const refusal = takeRefusal(seen.path)
    if (refusal !== null) return refuse(response, refusal.status, refusal.headers)

    const [, name = '', what = '', revision = '', file = ''] =
      /^\/api\/models\/(.+?)\/(revision|tree)\/([^/]+)$/.exec(url.pathname) ??
      /^\/(.+?)\/(resolve)\/([^/]+)\/(.+)$/.exec(url.pathname) ??
      []
    const repo = repos.get(name)
    const allowed = repo?.token == null || seen.authorization === `Bearer ${repo.token}`
    if (repo === undefined || (!allowed && !repo.gated)) {
      return refuse(response, seen.authorization === null ? 401 : 404, { 'x-error-code': 'RepoNotFound' })
    }
    const commit = commitOf(repo, decodeURIComponent(revision))
    if (commit === null) return refuse(response, 404, { 'x-error-code': 'RevisionNotFound' })
    const files = repo.commits.get(commit) ?? new Map<string, Buffer>()
    if (what === 'revision') {
      return serveJson(response, { _id: name, id: name, sha: commit, private: false, gated: repo.gated, tags: [] })
    }
    if (!allowed) {
      const status = seen.authorization === null ? 401 : 403
      return refuse(response, status, { 'x-error-code': 'GatedRepo', 'x-error-message': `Access to ${name} is gated.` })
    }
    if (what === 'tree') return servePage(response, url, files)
    const bytes = files.get(decodeURIComponent(file))
    if (bytes === undefined) return refuse(response, 404, { 'x-error-code': 'EntryNotFound' })
    response.setHeader('x-repo-commit', commit)
    if (bytes.length <= largeBytes) return serve(request, response, bytes, seen, takeBodyFault(seen.path))
    const place = ['', name, commit, decodeURIComponent(file)].map(encodeURIComponent).join('!')
    response.setHeader('x-linked-etag', `"${sha256(bytes)}"`)
    response.setHeader('x-linked-size', bytes.length)
    response.writeHead(302, { location: `${originOf(cdn)}/${place}` }).end()
  })

  function look({ method = 'GET', url: path = '/', headers }: IncomingMessage, host: SeenRequest['host']): SeenRequest {
    const seen = {
      method,
      path,
      host,
      range: headers.range ?? null,
      authorization: headers.authorization ?? null,
      sent: 0,
    }
    requests.push(seen)
    return seen
  }

  await Promise.all([listen(hub), listen(cdn)])
  const hubUrl = originOf(hub)
  const repoOf = (name: string): Repo => {
    const repo = repos.get(name) ?? { commits: new Map(), refs: new Map(), token: null, gated: false }
    repos.set(name, repo)
    return repo
  }
  const push: TestHub['push'] = (name, files, revision = 'main') => {
    const repo = repoOf(name)
    const before = repo.commits.get(repo.refs.get(revision) ?? '') ?? new Map<string, Buffer>()
    const after = new Map([
      ...before,
      ...Object.entries(files).map(([file, text]) => [file, Buffer.from(text)] as const),
    ])
    const hash = createHash('sha1').update(name)
    for (const [file, bytes] of after) hash.update(`\0${file}\0`).update(bytes)
    const commit = hash.digest('hex')
    repo.commits.set(commit, after)
    repo.refs.set(revision, commit)
    return commit
  }
  return {
    url: hubUrl,
    requests,
    push,
    pushFolder(repo, folder, revision) {
      const names = readdirSync(folder).filter((name) => statSync(join(folder, name)).isFile())
      return push(repo, Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name))])), revision)
    },
    protect(name, token, how = 'private') {
      Object.assign(repoOf(name), { token, gated: how === 'gated' })
    },
    failNext: (part, ...more) => void faults.push(...more.map((fault) => ({ part, fault }))),
    async close() {
      await Promise.all([hub, cdn].map((server) => new Promise((done) => server.close(done).closeAllConnections())))
    },
  }
}

const listen = (server: Server) => new Promise<void>((done) => server.listen(0, '127.0.0.1', () => done()))

function originOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function commitOf({ refs, commits }: Repo, revision: string): string | null {
  return refs.get(revision) ?? (commits.has(revision) ? revision : null)
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const gitHash = (bytes: Buffer) => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')

function servePage(response: ServerResponse, url: URL, files: ReadonlyMap<string, Buffer>): void {
  const from = Number(url.searchParams.get('cursor') ?? 0)
  const entries = [...files].map(([path, bytes]) => ({
    type: 'file',
    oid: gitHash(bytes),
    size: bytes.length,
    path,
    ...(bytes.length > largeBytes && { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } }),
  }))
  if (from + pageSize < entries.length) {
    const next = new URL(url)
    next.searchParams.set('cursor', `${from + pageSize}`)
    response.setHeader('link', `<${next.href}>; rel="next"`)
  }
  serveJson(response, entries.slice(from, from + pageSize))
}

function serveJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(value))
}

function refuse(response: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'text/plain', ...headers }).end(`status ${status}`)
}

function serve(
  request: IncomingMessage,
  response: ServerResponse,
  whole: Buffer,
  seen: SeenRequest,
  fault: Exclude<HubFault, { status: number }> | null,
): void {
  let bytes = whole
  if (fault !== null && 'corrupt' in fault) {
    bytes = Buffer.from(whole)
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
  }
  const ranged = fault === null || !('ignoreRange' in fault)
  const [, from, to] = (ranged && /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')) || []
  const start = Number(from ?? 0)
  if (from !== undefined && start >= bytes.length) {
    response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end()
    return
  }
  const part = bytes.subarray(start, to ? Number(to) + 1 : bytes.length)
  const headers = { 'content-length': part.length, etag: `"${gitHash(whole)}"`, 'accept-ranges': 'bytes' }
  if (from === undefined) response.writeHead(200, headers)
  else {
    const range = `bytes ${start}-${start + part.length - 1}/${bytes.length}`
    response.writeHead(206, { ...headers, 'content-range': range })
  }
  const limit = fault !== null && 'breakAfter' in fault ? fault.breakAfter : null
  const stall = fault !== null && 'stallAfter' in fault ? fault.stallAfter : null
  const sent = part.subarray(0, limit ?? stall ?? part.length)
  seen.sent = sent.length
  if (limit !== null) response.write(sent, () => setTimeout(() => response.destroy(), 20))
  else if (stall !== null) response.write(sent)
  else response.end(sent)
}
