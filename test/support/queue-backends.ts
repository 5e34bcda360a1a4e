import { Redis } from 'ioredis'
import { afterAll, describe, inject } from 'vitest'
import './provided.ts'
import { redisDatabases } from './redis-server.ts'

export interface QueueBackend {
  backend: 'POSTGRESQL' | 'REDIS'
  /** A Redis database of this file's own; null: the queue lives in PostgreSQL */
  redisUrl: string | null
}

/** The queues that can be had on this machine: always PostgreSQL, and Redis where redis-server is on PATH. */
export const queueBackends: readonly QueueBackend[] = await findBackends()

/**
 * The same tests on every queue. Where there is no Redis its half shows as skipped.
 * The body may take a database with createTestDatabase() in a beforeAll of its own.
 */
export function describeOnQueues(title: string, body: (backend: QueueBackend) => void): void {
  describe.each(queueBackends)(`${title} ($backend)`, body)
  if (queueBackends.length > 1) return
  describe.skip(`${title} (REDIS: no redis-server on PATH)`, () => body({ backend: 'REDIS', redisUrl: null }))
}

async function findBackends(): Promise<QueueBackend[]> {
  const { redisUrl } = inject('servers')
  const postgres: QueueBackend = { backend: 'POSTGRESQL', redisUrl: null }
  if (redisUrl === null) return [postgres]
  const number = await withRedis(`${redisUrl}/0`, (redis) => redis.incr('databases given out'))
  const own = `${redisUrl}/${1 + ((number - 1) % (redisDatabases - 1))}`
  const empty = () => withRedis(own, (redis) => redis.flushdb())
  await empty()
  afterAll(empty)
  return [postgres, { backend: 'REDIS', redisUrl: own }]
}

async function withRedis<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url)
  try {
    return await work(redis)
  } finally {
    redis.disconnect()
  }
}
