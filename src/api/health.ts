import { databaseTime, liveWorkers } from '../db/workers.ts'
import type { Services } from './context.ts'
import { version } from './version.ts'

/** A part that has not answered within this counts as not reachable. */
const patienceMs = 3000

export interface Health {
  ok: boolean
  database: boolean
  queue: 'POSTGRESQL' | 'REDIS'
  queueReachable: boolean
  liveWorkers: number
  version: string
}

export async function checkHealth({ db, queues, config }: Pick<Services, 'db' | 'queues' | 'config'>): Promise<Health> {
  // `kvscope bench` is a worker that offers nothing, for the time of its own run.
  const offering = async () =>
    (await liveWorkers(db, await databaseTime(db, config.queueLockMs))).filter(({ devices }) => devices.length > 0)
  const [alive, queueReachable] = await Promise.all([within(offering(), null), within(queues.reachable(), false)])
  const database = alive !== null
  return {
    ok: database && queueReachable && alive.length > 0,
    database,
    queue: queues.backend,
    queueReachable,
    liveWorkers: alive?.length ?? 0,
    version,
  }
}

/** Whether work that is asked for now will be done, and what it would lack. */
export async function readiness(services: Services): Promise<{ ready: boolean; missing: string[] }> {
  const health = await checkHealth(services)
  const missing = [
    ...(health.database ? [] : ['database']),
    ...(health.queueReachable ? [] : ['queue']),
    ...(health.liveWorkers > 0 ? [] : ['worker']),
  ]
  return { ready: missing.length === 0, missing }
}

async function within<T, F>(answer: Promise<T>, otherwise: F): Promise<T | F> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<F>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), patienceMs)
  })
  try {
    return await Promise.race([answer.catch(() => otherwise), late])
  } finally {
    clearTimeout(timer)
  }
}
