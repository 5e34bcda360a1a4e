import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { type RunOrder, runOrders } from '../../../src/db/run-cursor.ts'
import type { RunFilter } from '../../../src/db/run-filter.ts'
import { countRuns, type PageRequest, pageRuns, queuePositions } from '../../../src/db/run-pages.ts'
import { cancelRun, finishRun, retryRun, takeRun } from '../../../src/db/runs.ts'
import { insertSampleRun, insertSampleWorker, sampleSubject } from '../../support/sample-runs.ts'
import { createTestDatabase } from '../../support/test-database.ts'

/** Counts the statements that a client sends. */
async function countStatements(work: () => Promise<unknown>): Promise<number> {
  let count = 0
  const query = pg.Client.prototype.query
  pg.Client.prototype.query = function (this: pg.Client, ...args: Parameters<typeof query>) {
    count++
    return query.apply(this, args)
  } as typeof query
  try {
    await work()
    return count
  } finally {
    pg.Client.prototype.query = query
  }
}

describe('pages of runs', async () => {
  const db = connectDatabase(await createTestDatabase())
  afterAll(() => db.close())
  const notes = async (request: PageRequest) => (await pageRuns(db, request)).edges.map(({ node }) => node.note)

  beforeAll(async () => {
    // Equal times and equal key figures: the id alone must tell them apart.
    for (let n = 0; n < 23; n++) {
      const id = await insertSampleRun(db, { note: String(n) })
      const queuedAt = new Date(Date.UTC(2026, 0, 1 + Math.floor(n / 3)))
      await db.run.update({ where: { id }, data: { queuedAt, keyFigure: n % 4 === 0 ? null : n % 5 } })
    }
  })

  const expected = async (order: RunOrder) => {
    const rows = await db.run.findMany()
    const sign = order === 'OLDEST' || order === 'FASTEST' ? 1 : -1
    const key = (row: (typeof rows)[number]) =>
      order === 'NEWEST' || order === 'OLDEST'
        ? row.queuedAt.getTime()
        : (row.keyFigure ?? Number.POSITIVE_INFINITY * sign)
    return rows
      .sort((a, b) => sign * (key(a) === key(b) ? (a.id < b.id ? -1 : 1) : key(a) - key(b)))
      .map((row) => row.note)
  }

  it.each(runOrders)('walks through all runs forward and backward, each once and in order: %s', async (orderBy) => {
    const all = await expected(orderBy)
    for (const size of [1, 4, 7, 50]) {
      const forward: (string | null)[] = []
      let after: string | null = null
      for (;;) {
        const page = await pageRuns(db, { first: size, after, orderBy })
        forward.push(...page.edges.map(({ node }) => node.note))
        expect(page.hasPreviousPage).toBe(after !== null)
        after = page.edges.at(-1)?.cursor ?? null
        if (!page.hasNextPage) break
      }
      expect(forward).toEqual(all)
      const backward: (string | null)[] = []
      let before: string | null = null
      for (;;) {
        const page = await pageRuns(db, { last: size, before, orderBy })
        backward.unshift(...page.edges.map(({ node }) => node.note))
        expect(page.hasNextPage).toBe(before !== null)
        before = page.edges[0]?.cursor ?? null
        if (!page.hasPreviousPage) break
      }
      expect(backward).toEqual(all)
    }
  })

  it.each(runOrders)('keeps within both cursors: %s', async (orderBy) => {
    const { edges } = await pageRuns(db, { first: 50, orderBy })
    const between = await notes({ first: 50, after: edges[4]?.cursor, before: edges[18]?.cursor, orderBy })
    expect(between).toEqual(edges.slice(5, 18).map(({ node }) => node.note))
    const lastThree = await notes({ last: 3, after: edges[4]?.cursor, before: edges[18]?.cursor, orderBy })
    expect(lastThree).toEqual(edges.slice(15, 18).map(({ node }) => node.note))
  })

  it('goes on from a cursor whose run has been deleted', async () => {
    const extra = await insertSampleRun(db, { note: 'gone' })
    await db.run.update({ where: { id: extra }, data: { queuedAt: new Date(Date.UTC(2026, 0, 4, 12)) } })
    const { edges } = await pageRuns(db, { first: 50, orderBy: 'OLDEST' })
    const place = edges.findIndex(({ node }) => node.id === extra)
    await db.run.delete({ where: { id: extra } })
    const next = await notes({ first: 2, after: edges[place]?.cursor, orderBy: 'OLDEST' })
    expect(next).toEqual(edges.slice(place + 1, place + 3).map(({ node }) => node.note))
  })

  it('gives an empty page of none, and says whether there is more', async () => {
    expect(await pageRuns(db, { first: 0 })).toEqual({ edges: [], hasNextPage: true, hasPreviousPage: false })
    const none: RunFilter = { text: 'nothing has this' }
    expect(await pageRuns(db, { filter: none })).toEqual({ edges: [], hasNextPage: false, hasPreviousPage: false })
  })

  it('takes one statement a page, whatever order and filter', async () => {
    await pageRuns(db, { first: 1 })
    const { edges } = await pageRuns(db, { first: 5, orderBy: 'SLOWEST' })
    const filter = { text: '1', attentionKind: 'GQA', labels: [] } as const
    const count = await countStatements(() =>
      pageRuns(db, { first: 5, after: edges[2]?.cursor, orderBy: 'SLOWEST', filter }),
    )
    expect(count).toBe(1)
  })

  it.each([
    ['not base64 of anything', { after: '???' }],
    [
      'a cursor of another order',
      { after: Buffer.from('["k",1,"018f0000-0000-7000-8000-000000000000"]').toString('base64url') },
    ],
    ['a cursor with a false id', { before: Buffer.from(`["t",1,"' OR 1=1"]`).toString('base64url') }],
    [
      'a cursor beyond all time',
      { after: Buffer.from('["t",9e15,"018f0000-0000-7000-8000-000000000000"]').toString('base64url') },
    ],
    ['both directions', { first: 1, last: 1 }],
    ['a size below zero', { first: -1 }],
  ])('refuses %s', async (_what, request) => {
    await expect(pageRuns(db, request)).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
  })
})

describe('filters', async () => {
  const db = connectDatabase(await createTestDatabase())
  afterAll(() => db.close())
  const found = async (filter: RunFilter) => {
    const page = await pageRuns(db, { filter, orderBy: 'OLDEST', first: 50 })
    expect(await countRuns(db, filter)).toBe(page.edges.length)
    return page.edges.map(({ node }) => node.note)
  }

  beforeAll(async () => {
    const mha = sampleSubject({ name: 'Base_line', attentionKind: 'MHA', kvHeads: 16 })
    await insertSampleRun(db, {
      note: 'mixed',
      subjects: [mha, sampleSubject({ kvHeads: 4 })],
      labels: [{ key: 'a', value: '1' }],
    })
    await insertSampleRun(db, {
      note: 'llama 100%',
      device: 'CUDA',
      subjects: [sampleSubject({ name: 'l', modelName: 'llama', kvHeads: 8 })],
      labels: [
        { key: 'a', value: '1' },
        { key: 'b', value: '2' },
      ],
    })
    const worker = await insertSampleWorker(db, 'host-1')
    const done = await insertSampleRun(db, { note: 'done' })
    const taken = await takeRun(db, done, worker, new Date(0))
    if (taken === null) throw new Error('not taken')
    await finishRun(db, taken, { status: 'SUCCEEDED', environment: {}, warnings: [], keyFigure: 1 })
  })

  it.each<[string, RunFilter, string[]]>([
    ['nothing', {}, ['mixed', 'llama 100%', 'done']],
    ['a status', { status: ['SUCCEEDED'] }, ['done']],
    ['several statuses', { status: ['SUCCEEDED', 'QUEUED'] }, ['mixed', 'llama 100%', 'done']],
    ['no status', { status: [] }, []],
    ['a kind', { kind: 'BENCHMARK' }, ['mixed', 'llama 100%', 'done']],
    ['a device', { device: 'CUDA' }, ['llama 100%']],
    ['a label', { labels: [{ key: 'a', value: '1' }] }, ['mixed', 'llama 100%']],
    [
      'all of several labels',
      {
        labels: [
          { key: 'a', value: '1' },
          { key: 'b', value: '2' },
        ],
      },
      ['llama 100%'],
    ],
    ['a model', { model: 'llama' }, ['llama 100%']],
    ['kind and heads of one and the same subject', { attentionKind: 'MHA', kvHeads: 4 }, []],
    ['kind and heads', { attentionKind: 'MHA', kvHeads: 16 }, ['mixed']],
    ['a machine', { hostname: 'host-1' }, ['done']],
    ['text of a note, whatever its case', { text: 'LLAMA' }, ['llama 100%']],
    ['text of a subject', { text: 'base_' }, ['mixed']],
    ['signs that LIKE would read', { text: '%' }, ['llama 100%']],
    ['a time in the future', { queuedAfter: new Date(Date.now() + 60_000) }, []],
    [
      'a time before',
      { queuedBefore: new Date(Date.now() + 60_000), queuedAfter: new Date(0) },
      ['mixed', 'llama 100%', 'done'],
    ],
  ])('finds by %s', async (_what, filter, expected) => {
    expect(await found(filter)).toEqual(expected)
  })
})

describe('queuePositions', async () => {
  const db = connectDatabase(await createTestDatabase())
  afterAll(() => db.close())

  it('counts from 1 within each device, in one statement, and moves up as others leave', async () => {
    const cpu = [await insertSampleRun(db), await insertSampleRun(db), await insertSampleRun(db)]
    const cuda = await insertSampleRun(db, { device: 'CUDA' })
    const [first = '', second = '', third = ''] = cpu
    const positions = async () => {
      const map = await queuePositions(db, [...cpu, cuda, 'no id'])
      return [...cpu, cuda].map((id) => map.get(id))
    }
    expect(await positions()).toEqual([1, 2, 3, 1])
    await cancelRun(db, first)
    expect(await positions()).toEqual([undefined, 1, 2, 1])
    await retryRun(db, first)
    expect(await positions()).toEqual([3, 1, 2, 1])
    expect(await countStatements(() => queuePositions(db, [second, third]))).toBe(1)
  })

  it('counts runs that are placed on a machine or a worker in queues of their own', async () => {
    const worker = randomUUID()
    const lab = [
      await insertSampleRun(db, { placedHostname: 'lab' }),
      await insertSampleRun(db, { placedHostname: 'lab' }),
    ]
    const others = [
      await insertSampleRun(db, { placedHostname: 'office' }),
      await insertSampleRun(db, { placedWorkerId: worker }),
      await insertSampleRun(db, { placedHostname: 'lab', device: 'CUDA' }),
    ]
    const positions = await queuePositions(db, [...lab, ...others])
    expect([...lab, ...others].map((id) => positions.get(id))).toEqual([1, 2, 1, 1, 1])
  })
})
