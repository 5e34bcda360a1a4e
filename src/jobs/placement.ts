import type { Database } from '../db/client.ts'
import type { RunQueue } from '../db/run-queue.ts'
import { findOffers, type Offer } from '../db/workers.ts'
import { AppError } from '../errors.ts'
import type { Device } from './glossary.ts'

/** So many workers are named in a message. */
const mostNamed = 8
const newIdAtEachStart = 'A worker has a new id at each start: place the run on its hostname to outlast that.'

/**
 * Refuses a run placed on a worker that is gone, for it would never come back, or that does not offer the device, for it
 * has looked for devices when it started. A machine without a worker may have one later: such a run waits.
 * @param silentMs a worker that has said nothing for so long counts as gone
 * @throws AppError NOT_FOUND or VALIDATION_FAILED naming the live workers
 */
export async function checkPlacement(
  db: Database,
  { device, placedWorkerId }: RunQueue,
  silentMs: number,
): Promise<void> {
  if (placedWorkerId === null) return
  const offers = await findOffers(db, silentMs)
  const worker = offers.find(({ id }) => id === placedWorkerId)
  if (worker === undefined) {
    throw new AppError(
      'NOT_FOUND',
      `the run is placed on worker ${placedWorkerId}, which is not alive; ${describeOffers(offers)}`,
      newIdAtEachStart,
    )
  }
  if (worker.devices.includes(device)) return
  throw new AppError(
    'VALIDATION_FAILED',
    `the run is placed on worker ${placedWorkerId}, which does not offer ${device}; ${describeOffers(offers)}`,
    'Place it on a worker that offers the device, or ask for another device.',
  )
}

/** The error of a run whose queue nobody has read for so long. */
export function unserved(queue: RunQueue, offers: readonly Offer[], waitedMs: number): AppError {
  const { device, placedHostname, placedWorkerId } = queue
  const seconds = waitedMs / 1000
  if (placedWorkerId !== null) {
    return new AppError(
      'DEVICE_UNAVAILABLE',
      `The run is placed on worker ${placedWorkerId}, which has not offered ${device} for ${seconds} s; ${describeOffers(offers)}.`,
      `${newIdAtEachStart} Submit the run again.`,
    )
  }
  if (placedHostname !== null) {
    return new AppError(
      'DEVICE_UNAVAILABLE',
      `The run is placed on host ${JSON.stringify(placedHostname)}, where no live worker has offered ${device} for ${seconds} s; ${describeOffers(offers)}.`,
      'Start one there with "kvscope worker" and retry the run, or submit it again with another placement.',
    )
  }
  return new AppError(
    'DEVICE_UNAVAILABLE',
    `No live worker has offered ${device} for ${seconds} s.`,
    `Start one with "kvscope worker" on a machine whose onnxruntime has ${device}, then retry the run, or ask for another device.`,
  )
}

function describeOffers(offers: readonly Offer[]): string {
  if (offers.length === 0) return 'no worker is alive'
  const named = offers
    .slice(0, mostNamed)
    .map(({ id, hostname, devices }) => `${id} on ${hostname} (${offered(devices)})`)
  const more = offers.length > mostNamed ? ` and ${offers.length - mostNamed} more` : ''
  return `alive: ${named.join(', ')}${more}`
}

function offered(devices: readonly Device[]): string {
  return devices.length === 0 ? 'no device' : devices.join(', ')
}
