import { AppError } from '../errors.ts'
import { RunsDocument, type RunsQuery } from '../generated/operations.ts'
import type { ApiClient } from './client.ts'

/** `latest`, `latest~1`, ... as git counts back. */
const newest = /^latest(?:~(\d{1,4}))?$/

export const runArgument = 'id of a run; latest is the newest, latest~1 the one before'

/**
 * The id that a user names: `latest` is the run that was queued last, `latest~2` the second before it.
 * @throws AppError NOT_FOUND where so many are not stored
 */
export async function findRunId(client: ApiClient, id: string): Promise<string> {
  const match = newest.exec(id)
  if (match === null) return id
  const back = Number(match[1] ?? 0)
  let passed = 0
  for (let after: string | null = null; ; ) {
    const first = Math.min(100, back - passed + 1)
    const page: RunsQuery = await client.request(RunsDocument, { first, after, filter: {}, orderBy: 'NEWEST' })
    const { nodes, pageInfo } = page.runs
    const found = nodes[back - passed]
    if (found !== undefined) return found.id
    passed += nodes.length
    if (!pageInfo.hasNextPage) {
      const stored = passed === 0 ? 'No run is stored' : `${id} goes back too far: ${passed} runs are stored`
      throw new AppError('NOT_FOUND', stored, 'Make one with: kvscope bench or kvscope demo')
    }
    after = pageInfo.endCursor
  }
}

/** Ids of all runs that a user names, each looked up before anything is done with one: a deletion moves `latest~1`. */
export async function findRunIds(client: ApiClient, ids: readonly string[]): Promise<string[]> {
  const found: string[] = []
  for (const id of ids) found.push(await findRunId(client, id))
  return [...new Set(found)]
}
