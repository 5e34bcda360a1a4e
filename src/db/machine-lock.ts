import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { AppError } from '../errors.ts'

/** The connection's name on the server; the worker's id follows. */
export const lockApplication = 'kvscope machine lock'
/** A holder whose connection broke has that much time to have its lock back before anyone else tries. */
export const comeBackMs = 1500

export interface MachineLock {
  /** False once the connection that holds the lock is gone: another may have it. */
  isHeld(): boolean
  release(): Promise<void>
}

/**
 * Waits until no other worker of the machine executes anything. A PostgreSQL advisory lock on a connection of its own:
 * a holder that is killed lets go at once, as its connection closes.
 * @param machineId on Linux the boot id, which all containers of a machine share
 * @param options.signal ends the wait with the signal's reason
 * @param options.workerId lets others find out whether the holder lives (see machine-lock-holder.ts)
 * @param options.again for a holder whose connection broke: it need not leave a holder time to come back
 */
export async function lockMachine(
  url: string,
  machineId: string,
  options: { signal?: AbortSignal; workerId?: string; again?: boolean } = {},
): Promise<MachineLock> {
  const { signal, workerId, again = false } = options
  signal?.throwIfAborted()
  const client = new pg.Client({
    connectionString: url,
    application_name: workerId === undefined ? lockApplication : `${lockApplication} ${workerId}`,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    // A holder on another machine that vanished without closing: the server finds out within half a minute.
    options: '-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3',
  })
  let held = false
  client.on('error', () => {
    held = false
  })
  client.on('end', () => {
    held = false
  })
  const wait = async () => {
    await client.connect()
    signal?.throwIfAborted()
    if (!again) await leaveTimeAfterStart(client, signal)
    await client.query('SELECT pg_advisory_lock($1::bigint)', [lockKey(machineId)])
  }
  let abandon = () => {}
  const abandoned = new Promise<never>((_, reject) => {
    abandon = () => reject(signal?.reason)
  })
  signal?.addEventListener('abort', abandon, { once: true })
  try {
    await Promise.race([wait(), abandoned])
    held = true
  } catch (error) {
    // Not awaited: a connection that is just being made answers late. It closes, and with it the wait on the server.
    client.end().catch(() => undefined)
    signal?.throwIfAborted()
    const reason = error instanceof Error ? error.message : String(error)
    throw new AppError('INTERNAL', `the lock of this machine could not be had: ${reason}`, null, error)
  } finally {
    signal?.removeEventListener('abort', abandon)
  }
  return {
    isHeld: () => held,
    release: async () => {
      held = false
      await client.end().catch(() => undefined)
    },
  }
}

/**
 * Right after PostgreSQL has started, the holder of before has yet to come back. A crash of one backend restarts all
 * others under the same postmaster; where this user may see it, the checkpointer's start tells of that.
 */
async function leaveTimeAfterStart(client: pg.Client, signal: AbortSignal | undefined): Promise<void> {
  const { rows } = await client.query<{ upMs: number }>(`
    SELECT (1000 * extract(epoch FROM clock_timestamp() - greatest(pg_postmaster_start_time(),
      (SELECT max(backend_start) FROM pg_stat_activity WHERE backend_type = 'checkpointer'))))::float8 AS "upMs"`)
  const restMs = comeBackMs - (rows[0]?.upMs ?? 0)
  if (restMs > 0) await delay(Math.min(restMs, comeBackMs), undefined, { signal })
}

/** 64 bits of the machine's id, apart from every other lock of the database. */
export function lockKey(machineId: string): string {
  return createHash('sha256').update(`kvscope machine ${machineId}`).digest().readBigInt64BE().toString()
}
