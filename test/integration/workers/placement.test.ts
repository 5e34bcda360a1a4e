import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { startApi } from '../../../src/api/main.ts'
import { readConfig } from '../../../src/config.ts'
import { requireRun } from '../../../src/db/runs.ts'
import { until } from '../../support/processes.ts'
import { describeOnQueues } from '../../support/queue-backends.ts'
import { expectFinishedOnce } from '../../support/run-checks.ts'
import { openSubmitter, type Submitter } from '../../support/submitting.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { manyTrialsSpec, tinySeries, tinySource, tinySpec } from '../../support/tiny-spec.ts'
import { startTestWorker, type TestWorker } from '../../support/workers.ts'
import { at, request, textAt } from '../api/api-under-test.ts'

/** Processes start slowly on a busy machine. */
vi.setConfig({ testTimeout: 120_000 })

const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-placement-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

const shortSpec = (more: Parameters<typeof tinySpec>[0] = {}) =>
  tinySpec({ subjects: [{ source: tinySource, threads: 1 }], blocks: 5, ...more })
const shortSeries = tinySeries / 2

describeOnQueues('a placed run', ({ redisUrl }) => {
  let databaseUrl: string
  let submitter: Submitter
  let lab: TestWorker
  let office: TestWorker
  const startWorker = (hostname: string) =>
    startTestWorker({ databaseUrl, hostname, machineId: hostname, config: { redisUrl, dataDir } })
  const idOf = async (hostname: string) => (await submitter.db.worker.findFirstOrThrow({ where: { hostname } })).id
  const finished = async (runId: string) => expectFinishedOnce(submitter.db, runId, shortSeries)
  beforeAll(async () => {
    databaseUrl = await createTestDatabase()
    submitter = openSubmitter(databaseUrl, redisUrl)
    ;[lab, office] = await Promise.all([startWorker('lab'), startWorker('office')])
  })
  afterAll(async () => {
    await Promise.all([lab.terminate(), office.terminate()])
    await submitter.close()
  })

  it('is taken by the worker or the host that it is placed on, though another is idle', async () => {
    const [labId, officeId] = [await idOf('lab'), await idOf('office')]
    const placements = [{ hostname: 'lab' }, { workerId: labId }, { hostname: 'lab' }, { workerId: officeId }]
    const runIds: string[] = []
    for (const placement of placements) runIds.push(await submitter.submit(shortSpec({ placement })))
    const runs = await Promise.all(runIds.map(finished))
    expect(runs.map((run) => run.workerId)).toEqual([labId, labId, labId, officeId])
  })

  it('is asked for through the API, which says where it waits', async () => {
    const config = readConfig({
      PORT: '0',
      KVSCOPE_LOG_LEVEL: 'silent',
      ...(redisUrl === null ? {} : { REDIS_URL: redisUrl }),
    })
    const api = await startApi(config, databaseUrl, { queuePrefix: new URL(databaseUrl).pathname.slice(1) })
    try {
      const workerId = await idOf('office')
      const { kind: _, version: __, ...asked } = shortSpec()
      const start = `mutation ($input: StartBenchmarkInput!) {
        startBenchmark(input: $input) { run { id placement { hostname workerId } } } }`
      const answer = await request(api.address, start, { input: { ...asked, placement: { workerId } } })
      expect(at(answer, 'startBenchmark.run.placement')).toEqual({ hostname: null, workerId })
      expect((await finished(textAt(answer, 'startBenchmark.run.id'))).workerId).toBe(workerId)
    } finally {
      await api.close()
    }
  })

  it('keeps its worker busy, and no other run from an idle one', async () => {
    lab.waitAt('in a trial')
    const placed = await submitter.submit({ ...manyTrialsSpec(), placement: { hostname: 'lab' } })
    await lab.reached('in a trial')
    const runIds = await Promise.all([1, 2, 3].map((seed) => submitter.submit(shortSpec({ seed }))))
    const officeId = await idOf('office')
    for (const runId of runIds) expect((await finished(runId)).workerId).toBe(officeId)
    expect((await requireRun(submitter.db, placed)).status).toBe('RUNNING')
    lab.goOn()
    await expectFinishedOnce(submitter.db, placed, tinySeries)
  })

  it('waits for its host again when the worker there dies in the midst of it', async () => {
    lab.waitAt('loading')
    const runId = await submitter.submit(shortSpec({ placement: { hostname: 'lab' } }))
    await lab.reached('loading')
    await lab.kill()
    await until('the run waits again', async () => (await requireRun(submitter.db, runId)).status === 'QUEUED')
    // The other one is awake and at work, and sweeps.
    expect((await finished(await submitter.submit(shortSpec()))).workerId).toBe(await idOf('office'))
    expect(await requireRun(submitter.db, runId)).toMatchObject({ status: 'QUEUED', attempt: 1, workerId: null })
    await submitter.db.worker.deleteMany({ where: { hostname: 'lab' } })
    lab = await startWorker('lab')
    expect(await finished(runId)).toMatchObject({ attempt: 2, workerId: await idOf('lab') })
  })
})
