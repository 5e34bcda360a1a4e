import { type Device, Prisma } from '../generated/prisma/client.ts'

/** Where a run waits: in the queue of its device, or in that device's queue of the machine or the worker it is placed on. */
export interface RunQueue {
  device: Device
  /** The only machine whose workers may take the run; null: any */
  placedHostname: string | null
  /** The only worker that may take the run; null: any */
  placedWorkerId: string | null
}

/** The condition that "run" waits in the queue. */
export function waitsIn({ device, placedHostname, placedWorkerId }: RunQueue): Prisma.Sql {
  return Prisma.sql`run.device = ${device}::"Device"
    AND run."placedHostname" IS NOT DISTINCT FROM ${placedHostname}::text
    AND run."placedWorkerId" IS NOT DISTINCT FROM ${placedWorkerId}::uuid`
}

/** The condition that the placement of "run" lets the worker take it. */
export function placedFor(workerId: string): Prisma.Sql {
  return Prisma.sql`(run."placedWorkerId" IS NULL OR run."placedWorkerId" = ${workerId}::uuid)
    AND (run."placedHostname" IS NULL
      OR run."placedHostname" = (SELECT taker.hostname FROM "Worker" AS taker WHERE taker.id = ${workerId}::uuid))`
}
