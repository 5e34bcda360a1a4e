import { randomUUID } from 'node:crypto'
import { afterAll, expect, it, vi } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { findMachineLockHolder } from '../../../src/db/machine-lock-holder.ts'
import { databaseTime, registerWorker } from '../../../src/db/workers.ts'
import { createLogger } from '../../../src/log.ts'
import { waitForTurn } from '../../../src/workers/machine-turn.ts'
import { startOwnPostgres } from '../../support/own-postgres.ts'
import { until } from '../../support/processes.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const server = await startOwnPostgres()
const databaseUrl = await server.createDatabase()
const db = connectDatabase(databaseUrl)
const ending = new AbortController()
afterAll(async () => {
  ending.abort()
  await db.close()
})

const logger = createLogger('worker', 'silent')

function turn(machineId: string, queueLockMs = 60_000, workerId: string = randomUUID()) {
  return waitForTurn({ db, databaseUrl, machineId, workerId, queueLockMs, logger, signal: ending.signal })
}

it('stays with its holder when PostgreSQL restarts, and passes on when the holder ends it', async () => {
  const [first, second, third] = [randomUUID(), randomUUID(), randomUUID()]
  for (const id of [first, second, third]) {
    await registerWorker(db, { id, hostname: 'here', pid: 1, machineId: 'one', devices: ['CPU'] })
  }
  const holder = await turn('one', 60_000, first)
  const order: string[] = []
  const wait = (workerId: string) =>
    turn('one', 60_000, workerId).then((had) => {
      order.push(workerId)
      return had
    })
  const waited = wait(second)
  await server.killAndRestart()
  const late = wait(third)
  await until('the lock is held again', async () => {
    return (await findMachineLockHolder(db, 'one', 0).catch(() => null)) !== null
  })
  expect(await findMachineLockHolder(db, 'one', 0)).toMatchObject({ workerId: first, address: '127.0.0.1' })
  expect(order).toEqual([])
  await holder?.end()
  const next = await Promise.race([waited, late])
  expect(order).toHaveLength(1)
  await next?.end()
  for (const one of await Promise.all([waited, late])) await one?.end()
})

it('is taken from a holder whose worker has long been silent, and from no other', async () => {
  const [silent, alive] = [randomUUID(), randomUUID()]
  for (const [id, machineId] of [
    [silent, 'silent'],
    [alive, 'alive'],
  ] as const) {
    await registerWorker(db, { id, hostname: 'here', pid: 1, machineId, devices: ['CPU'] })
  }
  const past = await databaseTime(db, 3_600_000)
  const future = await databaseTime(db, -3_600_000)
  await db.worker.update({ where: { id: silent }, data: { lastSeen: past } })
  await db.worker.update({ where: { id: alive }, data: { lastSeen: future } })
  const paused = await turn('silent', 60_000, silent)
  const working = await turn('alive', 60_000, alive)
  let early = false
  const waiting = turn('alive', 100).then((had) => {
    early = true
    return had
  })
  const taken = await turn('silent', 100)
  expect(early).toBe(false)
  await taken?.end()
  await paused?.end()
  await working?.end()
  await (await waiting)?.end()
})
