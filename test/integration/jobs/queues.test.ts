import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { listenToRuns } from '../../../src/db/notifications.ts'
import type { RunQueue } from '../../../src/db/run-queue.ts'
import { commonQueue, queueName } from '../../../src/jobs/queue-names.ts'
import {
  openQueueReader,
  openQueues,
  type QueueOptions,
  type QueueReader,
  type Queues,
} from '../../../src/jobs/queues.ts'
import { until } from '../../support/processes.ts'
import { describeOnQueues } from '../../support/queue-backends.ts'
import { createTestDatabase } from '../../support/test-database.ts'

describeOnQueues('the queue', ({ backend, redisUrl }) => {
  let options: QueueOptions
  let queues: Queues
  const readers: QueueReader[] = []
  const intervals = { queueLockMs: 1000, queueCheckMs: 300 }
  const cpu = commonQueue('CPU')

  beforeAll(async () => {
    options = { redisUrl, databaseUrl: await createTestDatabase(), prefix: 'queues' }
    queues = openQueues(options)
  })
  afterAll(async () => {
    await Promise.all(readers.map((reader) => reader.close()))
    await queues.close()
  })
  const read = async (from: RunQueue[], onReturn = () => {}) => {
    const reader = openQueueReader(from, options, intervals, onReturn)
    readers.push(reader)
    await reader.ready()
    return reader
  }
  const takeAll = async (reader: QueueReader) => {
    const taken: string[] = []
    for (let message = await reader.take(); message !== null; message = await reader.take()) {
      taken.push(message.runId)
      await message.done()
    }
    return taken
  }
  const onHost = (placedHostname: string): RunQueue => ({ ...cpu, placedHostname })

  it('says which store it lives on, and that it can be reached', async () => {
    expect(queues.backend).toBe(backend)
    expect(await queues.reachable()).toBe(true)
  })

  it('holds one message of a run and attempt, however often it is sent, and none once it was taken', async () => {
    const runId = randomUUID()
    for (let time = 0; time < 3; time++) await queues.enqueue(runId, cpu, 1)
    await queues.enqueue(runId, cpu, 2)
    expect(await queues.waiting(cpu)).toBe(2)
    const reader = await read([cpu])
    expect(await reader.anyWaiting()).toBe(true)
    expect(await takeAll(reader)).toEqual([runId, runId])
    expect(await reader.anyWaiting()).toBe(false)
    await queues.enqueue(runId, cpu, 1)
    expect(await takeAll(reader)).toEqual([runId])
  })

  it('keeps the queues of devices, machines and workers apart', async () => {
    const worker: RunQueue = { ...cpu, placedWorkerId: randomUUID() }
    const all = [commonQueue('CUDA'), onHost('a: host'), onHost('a_ host'), worker]
    for (const queue of all) await queues.enqueue(randomUUID(), queue, 1)
    expect(await Promise.all(all.map(queues.waiting))).toEqual([1, 1, 1, 1])
    expect(await queues.waiting(cpu)).toBe(0)
  })

  it('lets the queues of a reader take turns', async () => {
    const from = [onHost('one'), onHost('two'), cpu]
    const sent: string[][] = []
    for (const queue of from) {
      const runIds = [randomUUID(), randomUUID()]
      for (const runId of runIds) await queues.enqueue(runId, queue, 1)
      sent.push(runIds)
    }
    const taken = await takeAll(await read(from))
    expect(taken).toEqual([0, 1].flatMap((round) => sent.map((runIds) => runIds[round])))
  })

  it('wakes who listens, with the name of the queue', async () => {
    const heard: (string | null)[] = []
    const notifications = await listenToRuns(options.databaseUrl, (name) => heard.push(name))
    await queues.enqueue(randomUUID(), onHost('waking'), 1)
    await until('it was heard', () => heard.length > 0)
    expect(heard).toEqual([queueName(onHost('waking'))])
    await notifications.close()
  })

  it('keeps a message whose holder lives, gives it to another when the holder is gone, and tells of that', async () => {
    const queue = onHost('dying')
    const runId = randomUUID()
    await queues.enqueue(runId, queue, 1)
    const dying = await read([queue])
    const held = await dying.take()
    let returned = 0
    const other = await read([queue], () => returned++)
    await new Promise((resolve) => setTimeout(resolve, 2 * intervals.queueLockMs))
    expect(await other.anyWaiting()).toBe(false)
    await dying.close()
    await until('the message is back', () => other.anyWaiting())
    expect(held?.runId).toBe(runId)
    expect(await takeAll(other)).toEqual([runId])
    expect(returned).toBe(1)
  })

  it('empties a queue that nobody will read again', async () => {
    const queue: RunQueue = { ...cpu, placedWorkerId: randomUUID() }
    await queues.enqueue(randomUUID(), queue, 1)
    await queues.empty(queue)
    expect(await queues.waiting(queue)).toBe(0)
    await queues.enqueue(randomUUID(), queue, 1)
    expect(await takeAll(await read([queue]))).toHaveLength(1)
  })

  it.runIf(backend === 'POSTGRESQL')('takes at most two connections for all queues of a reader', async () => {
    const databaseUrl = await createTestDatabase()
    const from = Array.from({ length: 6 }, (_, index) => onHost(`host ${index}`))
    const reader = openQueueReader(from, { redisUrl: null, databaseUrl }, intervals, () => {})
    await reader.ready()
    expect(await reader.anyWaiting()).toBe(false)
    expect(await reader.take()).toBe(null)
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    const { rows } = await client.query<{ count: number }>(
      "SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'kvscope queue'",
    )
    await client.end()
    await reader.close()
    expect(rows[0]?.count).toBeGreaterThan(0)
    expect(rows[0]?.count).toBeLessThanOrEqual(2)
  })
})
