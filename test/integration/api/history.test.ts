import { describe, expect, it } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { at, codeOf, startTestApi, textAt } from './api-under-test.ts'
import { countStatements } from './counted-statements.ts'
import { storeFailedRun, storeFinishedRun, storeQueuedRun } from './stored-runs.ts'

const set =
  'mutation ($name: String!, $runId: ID!) { setBaseline(name: $name, runId: $runId) { baseline { name run { id } setAt } } }'
const list = '{ baselines { name run { id subjects { name } } } }'

describe('baselines', async () => {
  const url = await createTestDatabase()
  const db = connectDatabase(url)
  const api = await startTestApi(url)
  const [first, second] = [await storeFinishedRun(db), await storeFinishedRun(db)]

  it('lets a name, without the space around it, stand for a run, and moves it', async () => {
    const answer = await api.request(set, { name: '  main  ', runId: first })
    expect(at(answer, 'setBaseline.baseline')).toMatchObject({ name: 'main', run: { id: first } })
    await api.request(set, { name: 'main', runId: second })
    await api.request(set, { name: 'before', runId: first })
    expect(at(await api.request(list), 'baselines')).toMatchObject([
      { name: 'before', run: { id: first } },
      { name: 'main', run: { id: second } },
    ])
  })

  it('compares with the run that a name stands for', async () => {
    const query = `query ($input: CompareRunsInput!) { compareRuns(input: $input) { baseline { id } candidates { id } } }`
    const answer = await api.request(query, { input: { baseline: { name: 'main' }, candidates: [first] } })
    expect(at(answer, 'compareRuns')).toEqual({ baseline: { id: second }, candidates: [{ id: first }] })
    const unknown = await api.request(query, { input: { baseline: { name: 'mian' }, candidates: [first] } })
    expect(codeOf(unknown)).toBe('NOT_FOUND')
    expect(unknown.errors?.[0]).toMatchObject({
      message: 'no baseline has the name "mian"',
      extensions: { hint: 'There are "before", "main".' },
    })
  })

  it('reads all with their runs in a bounded number of statements', async () => {
    const few = await countStatements(() => api.request(list))
    for (const name of ['a', 'b', 'c', 'd']) await api.request(set, { name, runId: await storeFinishedRun(db) })
    const more = await countStatements(() => api.request(list))
    expect(more.statements.length).toBe(few.statements.length)
    expect(few.statements.length).toBe(3)
  })

  it('refuses to delete a run that a baseline names', async () => {
    const remove = await api.request('mutation ($id: ID!) { deleteRun(id: $id) { deletedId } }', { id: first })
    expect(codeOf(remove)).toBe('CONFLICT')
    expect(remove.errors?.[0]?.message).toBe(`run ${first} is the baseline "before"`)
  })

  it('frees a name and returns the run, which can be deleted then', async () => {
    const free = 'mutation ($name: String!) { removeBaseline(name: $name) { run { id } } }'
    expect(textAt(await api.request(free, { name: 'before' }), 'removeBaseline.run.id')).toBe(first)
    expect(codeOf(await api.request(free, { name: 'before' }))).toBe('NOT_FOUND')
    const remove = await api.request('mutation ($id: ID!) { deleteRun(id: $id) { deletedId } }', { id: first })
    expect(textAt(remove, 'deleteRun.deletedId')).toBe(first)
  })

  it('takes finished runs only', async () => {
    for (const runId of [await storeQueuedRun(db), await storeFailedRun(db)]) {
      expect(codeOf(await api.request(set, { name: 'x', runId }))).toBe('CONFLICT')
    }
    expect(codeOf(await api.request(set, { name: 'x', runId: 'none' }))).toBe('NOT_FOUND')
  })

  it.each([
    [' \t ', 'VALIDATION_FAILED'],
    ['\u{1f600}'.repeat(101), 'LIMIT_EXCEEDED'],
    ['a\0b', 'VALIDATION_FAILED'],
  ])('refuses the name %j', async (name, code) => {
    expect(codeOf(await api.request(set, { name, runId: second }))).toBe(code)
  })

  it('takes a name of 100 characters, whatever they take in UTF-16', async () => {
    const name = '\u{1f600}'.repeat(100)
    expect(textAt(await api.request(set, { name, runId: second }), 'setBaseline.baseline.name')).toBe(name)
  })
})

describe('retention', async () => {
  const url = await createTestDatabase()
  const db = connectDatabase(url)
  const api = await startTestApi(url)
  const planned = `query ($rule: RetentionRuleInput!) { retentionPlan(rule: $rule) {
    digest drops runs { id labels { key } } keptPinned keptBaselines keptPerLabel } }`
  const prune =
    'mutation ($rule: RetentionRuleInput!, $digest: String!) { pruneRuns(rule: $rule, digest: $digest) { deleted } }'
  const rule = { olderThanDays: 30 }
  const aged = async (days: number, runId: string) => {
    await db.run.update({ where: { id: runId }, data: { queuedAt: new Date(Date.now() - days * 86_400_000) } })
    return runId
  }
  const old = await aged(40, await storeFinishedRun(db))
  const older = await aged(50, await storeFailedRun(db))
  const pinned = await aged(60, await storeFinishedRun(db))
  const named = await aged(70, await storeFinishedRun(db))
  const queued = await aged(80, await storeQueuedRun(db))
  const young = await aged(10, await storeFinishedRun(db))
  await db.run.update({ where: { id: pinned }, data: { pinned: true } })
  await api.request(set, { name: 'main', runId: named })

  it('says what it would drop, oldest first, and deletes nothing', async () => {
    const plan = at(await api.request(planned, { rule }), 'retentionPlan')
    expect(plan).toMatchObject({
      drops: 2,
      runs: [{ id: older }, { id: old }],
      keptPinned: 1,
      keptBaselines: 1,
      keptPerLabel: 0,
    })
    expect(await db.run.count()).toBe(6)
  })

  it('keeps the newest of each label, the young among them', async () => {
    const plan = at(await api.request(planned, { rule: { ...rule, keepPerLabel: 2 } }), 'retentionPlan')
    expect(plan).toMatchObject({ drops: 1, runs: [{ id: older }], keptPerLabel: 1 })
  })

  it('deletes nothing where the list is another than the one that was looked at', async () => {
    const digest = textAt(await api.request(planned, { rule }), 'retentionPlan.digest')
    await db.run.update({ where: { id: old }, data: { pinned: true } })
    const answer = await api.request(prune, { rule, digest })
    expect(codeOf(answer)).toBe('CONFLICT')
    expect(await db.run.count()).toBe(6)
    await db.run.update({ where: { id: old }, data: { pinned: false } })
  })

  it('deletes what it said', async () => {
    const digest = textAt(await api.request(planned, { rule }), 'retentionPlan.digest')
    expect(at(await api.request(prune, { rule, digest }), 'pruneRuns')).toEqual({ deleted: 2 })
    const left = await db.run.findMany({ select: { id: true } })
    expect(left.map(({ id }) => id).sort()).toEqual([pinned, named, queued, young].sort())
    const again = textAt(await api.request(planned, { rule }), 'retentionPlan.digest')
    expect(at(await api.request(prune, { rule, digest: again }), 'pruneRuns')).toEqual({ deleted: 0 })
  })

  it.each([{ olderThanDays: -1 }, { olderThanDays: 1e9 }, { olderThanDays: 1, keepPerLabel: -1 }])(
    'refuses %j',
    async (bad) => {
      expect(codeOf(await api.request(planned, { rule: bad }))).toBe('VALIDATION_FAILED')
    },
  )
})
