import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { hostname } from 'node:os'
import type { Config } from '../src/config.ts'
import { connectDatabase } from '../src/db/client.ts'
import { cancelRun } from '../src/db/runs.ts'
import { registerWorker, removeWorker } from '../src/db/workers.ts'
import type { AttentionMapsSpecInput } from '../src/jobs/spec.ts'
import { parseSpec } from '../src/jobs/spec.ts'
import { submitRun } from '../src/jobs/submit.ts'
import { compiledFile } from '../src/package-folder.ts'
import { openRunStore } from '../src/workers/database-store.ts'
import { readMachineId } from '../src/workers/machine-id.ts'
import type { NumberedMessage } from '../src/workers/messages.ts'

export interface StoredRows {
  bytes: number
  milliseconds: number
}

/**
 * Time from a child's first tile until PostgreSQL has its last: the maps of 24 x 16 heads over 512 tokens, sent and
 * stored as a run's, by a parent that does what a worker's does. The child makes its values beforehand.
 */
export async function timeStoring(
  spec: AttentionMapsSpecInput,
  config: Config,
  databaseUrl: string,
): Promise<StoredRows> {
  const db = connectDatabase(databaseUrl, { maxConnections: 4 })
  const workerId = randomUUID()
  try {
    const machineId = await readMachineId()
    await registerWorker(db, { id: workerId, hostname: hostname(), pid: process.pid, machineId, devices: [] })
    const signal = new AbortController().signal
    const store = openRunStore(db, { workerId, queueLockMs: config.queueLockMs, signal })
    const submission = { spec: parseSpec(spec), labels: [], note: 'bench:heads', idempotencyKey: null }
    const { runId } = await submitRun({ db, queues: { enqueue: () => Promise.resolve() }, config }, submission)
    const guard = await store.take(runId)
    if (guard === null) throw new Error(`run ${runId} was taken by another worker`)

    const child = fork(compiledFile('bench/send-tiles.ts'), [], { serialization: 'advanced' })
    let first: number | null = null
    let bytes = 0
    let stored = Promise.resolve()
    child.on('message', ({ number, message }: NumberedMessage) => {
      if (message.type !== 'heads' || message.batch.of !== 'attentionTiles') return
      first ??= performance.now()
      const { batch } = message
      for (const { data } of message.batch.rows) bytes += data.byteLength
      stored = stored.then(async () => {
        if (!(await store.insertHeads(guard, batch))) throw new Error(`run ${runId} was taken by another worker`)
        child.send({ type: 'ack', number })
      })
    })
    const [code] = await once(child, 'exit')
    await stored
    const milliseconds = performance.now() - (first ?? performance.now())
    const [kept] = await db.$queryRaw<{ bytes: bigint }[]>`
      SELECT coalesce(sum(octet_length(data)), 0)::bigint AS bytes FROM "AttentionTile" WHERE "runId" = ${runId}::uuid`
    await cancelRun(db, runId)
    if (Number(kept?.bytes) !== bytes) throw new Error(`${bytes} B were sent and ${kept?.bytes} B are stored`)
    if (code !== 0) throw new Error(`the child that sends tiles ended with ${code}`)
    return { bytes, milliseconds }
  } finally {
    await removeWorker(db, workerId).catch(() => undefined)
    await db.close()
  }
}
