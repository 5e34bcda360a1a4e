import { afterAll, describe, expect, it } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { runOrders } from '../../../src/db/run-cursor.ts'
import type { RunFilter } from '../../../src/db/run-filter.ts'
import { countRuns, type PageRequest, pageRuns } from '../../../src/db/run-pages.ts'
import { createTestDatabase } from '../../support/test-database.ts'

const db = connectDatabase(await createTestDatabase())
afterAll(() => db.close())

const stored = 1500
const milliseconds = 86_400_000

/**
 * More runs than a page asks one by one. A third has no key figure, a few share one; the first thirty in time, and the
 * thirty slowest, are told apart by label, model and note.
 */
await db.$executeRaw`
  INSERT INTO "Run" (id, kind, device, status, spec, "specHash", note, "queuedAt", "keyFigure", hostname)
  SELECT gen_random_uuid(), 'BENCHMARK', 'CPU', CASE WHEN n % 50 = 0 THEN 'FAILED' ELSE 'SUCCEEDED' END::"RunStatus", '{}', '',
    CASE WHEN n <= 30 THEN 'an Early one ' ELSE 'later ' END || n, to_timestamp(n * 86400),
    CASE WHEN n % 3 > 0 THEN n / 2 END, 'host-' || n % 2
  FROM generate_series(1, ${stored}) AS n`
await db.$executeRaw`
  INSERT INTO "Subject" ("runId", index, name, "modelName", "attentionKind", "kvHeads", device, synthetic, model)
  SELECT id, 0, 'subject of ' || note, CASE WHEN "keyFigure" > ${stored / 2 - 20} THEN 'slow' ELSE 'quick' END, 'GQA', 4,
    'CPU', false, '{}' FROM "Run"`
await db.$executeRaw`
  INSERT INTO "RunLabel" ("runId", key, value)
  SELECT id, 'age', CASE WHEN note LIKE 'an Early%' THEN 'old' ELSE 'young' END FROM "Run"`

const filters: [string, RunFilter, (note: string, place: number) => boolean][] = [
  ['what the oldest have', { labels: [{ key: 'age', value: 'old' }] }, (_note, place) => place <= 30],
  ['what nearly all have', { labels: [{ key: 'age', value: 'young' }] }, (_note, place) => place > 30],
  ['text of the oldest', { text: 'early' }, (_note, place) => place <= 30],
  ['short text', { text: 'y ' }, (note) => note.includes('y ')],
  ['a model of the slowest', { model: 'slow' }, (_note, place) => place % 3 > 0 && Math.floor(place / 2) > 730],
  ['a status and a machine', { status: ['FAILED'], hostname: 'host-0' }, (_note, place) => place % 50 === 0],
  ['what none has', { model: 'quick', attentionKind: 'MHA' }, () => false],
  [
    'a time',
    { queuedBefore: new Date(40 * milliseconds), text: 'e' },
    (note, place) => place < 40 && note.includes('e'),
  ],
]

/** All pages from one end to the other. */
async function walk(request: PageRequest, forwards: boolean): Promise<string[]> {
  const ids: string[] = []
  let cursor: string | undefined
  for (;;) {
    const size = request.first ?? 20
    const page = await pageRuns(db, {
      ...request,
      ...(forwards ? { first: size, after: cursor } : { first: null, last: size, before: cursor }),
    })
    const found = page.edges.map(({ node }) => node.id)
    ids.push(...(forwards ? found : found.reverse()))
    cursor = (forwards ? page.edges.at(-1) : page.edges[0])?.cursor
    const [more, behind] = [page.hasNextPage, page.hasPreviousPage]
    expect(forwards ? behind : more).toBe(ids.length > found.length)
    if (!(forwards ? more : behind)) return ids
  }
}

describe.each(runOrders)('pages under a filter, %s', async (orderBy) => {
  const { edges } = await pageRuns(db, { first: stored, orderBy })
  const all = edges.map(({ node }) => ({
    id: node.id,
    note: node.note ?? '',
    place: node.queuedAt.getTime() / milliseconds,
  }))

  it.each(filters)('are the whole list without what has not %s', async (_what, filter, passes) => {
    const expected = all.filter(({ note, place }) => passes(note, place)).map(({ id }) => id)
    const first = Math.max(7, Math.ceil(expected.length / 6))
    expect(await walk({ filter, orderBy, first }, true)).toEqual(expected)
    expect(await walk({ filter, orderBy, first }, false)).toEqual([...expected].reverse())
    expect(await countRuns(db, filter)).toBe(expected.length)
  })

  it('keep within both cursors', async () => {
    const filter = { labels: [{ key: 'age', value: 'old' }] }
    const { edges: old } = await pageRuns(db, { first: 30, filter, orderBy })
    const between = { after: old[3]?.cursor, before: old[20]?.cursor, filter, orderBy }
    const ids = (page: Awaited<ReturnType<typeof pageRuns>>) => page.edges.map(({ node }) => node.id)
    const expected = old.slice(4, 20).map(({ node }) => node.id)
    expect(ids(await pageRuns(db, { ...between, first: 50 }))).toEqual(expected)
    expect(ids(await pageRuns(db, { ...between, last: 5 }))).toEqual(expected.slice(-5))
  })
})
