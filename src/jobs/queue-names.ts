import { createHash } from 'node:crypto'
import type { RunQueue } from '../db/run-queue.ts'
import type { Device } from './glossary.ts'

/**
 * Name of the queue in BullMQ, which refuses some characters: of a host name the readable part stands there for people,
 * and a hash of all of it keeps apart what that would mix up.
 */
export function queueName({ device, placedHostname, placedWorkerId }: RunQueue): string {
  const common = `kvscope-${device.toLowerCase()}`
  if (placedWorkerId !== null) return `${common}-worker-${placedWorkerId.toLowerCase()}`
  if (placedHostname === null) return common
  const readable = placedHostname.replace(/[^A-Za-z0-9.-]+/g, '_').slice(0, 40)
  return `${common}-host-${readable}-${createHash('sha256').update(placedHostname).digest('hex').slice(0, 16)}`
}

/** The common queue of a device. */
export function commonQueue(device: Device): RunQueue {
  return { device, placedHostname: null, placedWorkerId: null }
}

/** The queues that a worker takes runs from: for each of its devices its own, its machine's and the common one. */
export function queuesOfWorker(worker: { id: string; hostname: string; devices: readonly Device[] }): RunQueue[] {
  return worker.devices.flatMap((device) => [
    { device, placedHostname: null, placedWorkerId: worker.id },
    { device, placedHostname: worker.hostname, placedWorkerId: null },
    commonQueue(device),
  ])
}
