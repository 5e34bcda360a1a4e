import { afterAll, expect, it } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { encodeCursor } from '../../../src/db/run-cursor.ts'
import type { RunFilter } from '../../../src/db/run-filter.ts'
import { countRuns, pageRuns } from '../../../src/db/run-pages.ts'
import { insertSampleRun } from '../../support/sample-runs.ts'
import { createTestDatabase } from '../../support/test-database.ts'

const db = connectDatabase(await createTestDatabase())
afterAll(() => db.close())

const beyond = new Date('+010000-01-01T00:00:00Z')

it.each<[string, RunFilter]>([
  ['a hostname', { hostname: 'a\0b' }],
  ['a key', { labels: [{ key: 'a\0b', value: '' }] }],
  ['a value', { labels: [{ key: 'a', value: '\ud800' }] }],
  ['a model', { model: '\0' }],
  ['a text', { text: 'a\0b' }],
  ['an early time', { queuedAfter: new Date(-8e15) }],
  ['a late time', { queuedBefore: beyond }],
])('refuses %s that cannot be stored', async (_what, filter) => {
  await expect(countRuns(db, filter)).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
})

it('takes times up to the ends of the years 1 and 9999', async () => {
  await insertSampleRun(db)
  const filter = { queuedAfter: new Date('0001-01-01T00:00:00Z'), queuedBefore: new Date('9999-12-31T23:59:59.999Z') }
  expect(await countRuns(db, filter)).toBe(1)
})

it.each([beyond.getTime(), -8e15])('refuses a cursor at %d ms, which no page has returned', async (time) => {
  const id = await insertSampleRun(db)
  const after = encodeCursor({ by: 'queuedAt', queuedAt: new Date(time), id })
  await expect(pageRuns(db, { first: 1, after, orderBy: 'NEWEST' })).rejects.toMatchObject({
    code: 'VALIDATION_FAILED',
  })
})
