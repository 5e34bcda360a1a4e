import { randomUUID } from 'node:crypto'
import { afterAll, expect, it } from 'vitest'
import { checkHealth } from '../../../src/api/health.ts'
import { readConfig } from '../../../src/config.ts'
import { connectDatabase } from '../../../src/db/client.ts'
import { registerWorker } from '../../../src/db/workers.ts'
import { openQueues } from '../../../src/jobs/queues.ts'
import { createTestDatabase } from '../../support/test-database.ts'

const databaseUrl = await createTestDatabase()
const db = connectDatabase(databaseUrl)
const queues = openQueues({ redisUrl: null, databaseUrl })
afterAll(async () => {
  await queues.close()
  await db.close()
})

it('counts the workers that offer a device, for no other takes runs from a queue', async () => {
  const worker = { hostname: 'here', pid: 1, machineId: 'here' }
  const services = { db, queues, config: readConfig({}) }
  await registerWorker(db, { ...worker, id: randomUUID(), devices: [] })
  expect(await checkHealth(services)).toMatchObject({ ok: false, liveWorkers: 0, queueReachable: true })
  await registerWorker(db, { ...worker, id: randomUUID(), devices: ['CPU'] })
  expect(await checkHealth(services)).toMatchObject({ ok: true, liveWorkers: 1 })
})
