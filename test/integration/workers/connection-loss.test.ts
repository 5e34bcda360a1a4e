import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it, vi } from 'vitest'
import { until } from '../../support/processes.ts'
import { expectFinishedOnce } from '../../support/run-checks.ts'
import { openSubmitter } from '../../support/submitting.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { tinySeries, tinySpec } from '../../support/tiny-spec.ts'
import { startTestWorker } from '../../support/workers.ts'

vi.setConfig({ testTimeout: 120_000 })

/** A message of PostgreSQL's protocol: its type, its length, its body. */
function message(type: string, body: string): Buffer {
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, Buffer.from(body, 'latin1')])
}

/** The first and the last words of a server in one breath: authenticated, ready, terminating. */
const shortLife = Buffer.concat([
  message('R', '\0\0\0\0'),
  message('Z', 'I'),
  message('E', 'SFATAL\0VFATAL\0C57P01\0Mterminating connection due to unexpected postmaster exit\0\0'),
])

/** Stands between a worker and PostgreSQL; while it is dying, a new connection ends as it begins. */
async function standBetween(target: URL) {
  const sockets = new Set<Socket>()
  let dying = false
  let ended = 0
  const server = createServer((client) => {
    sockets.add(client)
    client.on('error', () => undefined)
    if (dying) {
      client.once('data', () => client.end(shortLife))
      ended++
      return
    }
    const upstream = connect(Number(target.port), target.hostname)
    upstream.on('error', () => client.destroy())
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.destroy())
    client.pipe(upstream).pipe(client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = new URL(target)
  url.port = String((server.address() as AddressInfo).port)
  return {
    url: url.href,
    ended: () => ended,
    die() {
      dying = true
      for (const socket of sockets) socket.destroy()
      sockets.clear()
    },
    recover() {
      dying = false
    },
    close: () => server.close(),
  }
}

const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-connection-loss-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

it('goes on when connections are lost in the moment that they are made', async () => {
  const databaseUrl = await createTestDatabase()
  const between = await standBetween(new URL(databaseUrl))
  const worker = await startTestWorker({ databaseUrl: between.url, config: { dataDir } })
  between.die()
  // Heartbeats, sweeps, looks for messages and for notifications: each of them connects anew, and all meet it.
  await until('the worker has tried often', () => between.ended() > 60)
  expect(worker.log()).toMatch(/the heartbeat failed/)
  expect(worker.log()).toMatch(/taking a message failed/)
  between.recover()
  const submitter = openSubmitter(databaseUrl, null)
  await expectFinishedOnce(submitter.db, await submitter.submit(tinySpec()), tinySeries)
  expect(worker.process.exitCode).toBeNull()
  await submitter.close()
  await worker.terminate()
  between.close()
})
