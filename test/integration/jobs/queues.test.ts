import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  consumeQueue,
  openQueues,
  type QueueConsumer,
  type QueueOptions,
  type Queues,
} from '../../../src/jobs/queues.ts'
import { consumeSteadily } from '../../../src/jobs/steady-consumer.ts'
import { until } from '../../support/processes.ts'
import { describeOnQueues } from '../../support/queue-backends.ts'
import { createTestDatabase } from '../../support/test-database.ts'

describeOnQueues('the queue', ({ backend, redisUrl }) => {
  let options: QueueOptions
  let queues: Queues
  const consumers: QueueConsumer[] = []
  const intervals = { queueLockMs: 2000, queueCheckMs: 500 }

  beforeAll(async () => {
    options = { redisUrl, databaseUrl: await createTestDatabase(), prefix: 'queues' }
    queues = openQueues(options)
  })
  afterAll(async () => {
    await Promise.all(consumers.map((consumer) => consumer.close()))
    await queues.close()
  })
  const consume = (handle: (runId: string) => Promise<void>) => {
    const consumer = consumeQueue('CPU', options, intervals, handle)
    consumers.push(consumer)
    return consumer
  }

  it('says which store it lives on, and that it can be reached', async () => {
    expect(queues.backend).toBe(backend)
    expect(await queues.reachable()).toBe(true)
  })

  it('holds one message of a run and attempt, however often it is sent, and none once it was taken', async () => {
    const runId = randomUUID()
    for (let time = 0; time < 3; time++) await queues.enqueue(runId, 'CPU', 1)
    await queues.enqueue(runId, 'CPU', 2)
    expect(await queues.waiting('CPU')).toBe(2)
    const taken: string[] = []
    const consumer = consume(async (id) => {
      taken.push(id)
    })
    await until('both are taken', () => taken.length === 2)
    await queues.enqueue(runId, 'CPU', 1)
    await until('the same is taken again', () => taken.length === 3)
    expect(new Set(taken)).toEqual(new Set([runId]))
    await consumer.close()
  })

  it('keeps the queues of the devices apart', async () => {
    await queues.enqueue(randomUUID(), 'CUDA', 1)
    expect(await queues.waiting('CUDA')).toBe(1)
    expect(await queues.waiting('CPU')).toBe(0)
  })

  it('goes on after a message whose handling failed', async () => {
    const [bad, good] = [randomUUID(), randomUUID()]
    const taken: string[] = []
    const consumer = consume(async (id) => {
      taken.push(id)
      if (id === bad) throw new Error('this one fails')
    })
    await queues.enqueue(bad, 'CPU', 1)
    await queues.enqueue(good, 'CPU', 1)
    await until('both are taken', () => taken.includes(good))
    expect(taken).toEqual([bad, good])
    await consumer.close()
  })

  it('replaces a consumer that no longer hears of messages, and none that hears', async () => {
    const taken: string[] = []
    let opened = 0
    let renewed = 0
    const steady = consumeSteadily({
      open: (handle) => {
        const consumer = consume(handle)
        // The first one stops taking and tells nobody.
        if (++opened === 1) void consumer.close()
        return consumer
      },
      handle: async (id) => {
        taken.push(id)
      },
      waiting: () => queues.waiting('CPU'),
      everyMs: 200,
      onRenewed: () => renewed++,
    })
    const [first, second] = [randomUUID(), randomUUID()]
    await queues.enqueue(first, 'CPU', 1)
    await until('the message is taken', () => taken.includes(first))
    expect(renewed).toBe(1)
    await queues.enqueue(second, 'CPU', 1)
    await until('the next is taken', () => taken.includes(second))
    expect(renewed).toBe(1)
    await steady.close()
  })
})
