import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { cpus, hostname, totalmem } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { writeBeside } from '../checkpoints/write-beside.ts'
import { openBandwidthProbe } from './bandwidth.ts'
import { now } from './clock.ts'
import { isCrowded } from './guard-machine.ts'
import { openUseMeter, type UseMeter } from './machine-use.ts'
import { openPlainProduct } from './matrix-products.ts'
import { availableMemory } from './memory.ts'
import type { MachineBounds } from './result.ts'

/** Weights of fewer bytes may stay in a cache from step to step, and memory then bounds nothing. */
export const fewestBoundBytes = 64 * 2 ** 20

const day = 86_400_000
/** Far more than the caches of most machines hold. */
const probeBytes = 512 * 2 ** 20
/** The probes need this much and some room beside it. */
const neededBytes = 2 * probeBytes
const longestReading = 700
const longestComputing = 700
const size = 2048

const storedBounds = z.strictObject({
  bytesPerSecond: z.number().positive(),
  flopsPerSecond: z.number().positive(),
  threads: z.int().min(1),
  measuredAt: z.iso.datetime(),
})

export interface BoundsOptions {
  dataDir: string
  threads: number
  /** awaited before anything is measured */
  onMeasuring?: () => Promise<void>
  /** measures them; another one is for tests */
  measure?: (threads: number) => Promise<MachineBounds>
  /** tells whether others kept the machine busy meanwhile; another one is for tests */
  meter?: UseMeter
  /** milliseconds since 1970 */
  time?: () => number
}

/**
 * How fast this machine reads main memory and multiplies matrices with so many threads, as measured within the last day:
 * kept in the data folder, and measured anew where the file is older, or of no use. Measuring takes about two seconds.
 * What was measured while others used the machine serves this once and is not kept.
 * @returns null where the memory for the probes is lacking, or they fail
 */
export async function machineBounds({
  dataDir,
  threads,
  onMeasuring,
  measure = measureBounds,
  meter = openUseMeter(),
  time = Date.now,
}: BoundsOptions): Promise<MachineBounds | null> {
  const file = boundsFile(dataDir, threads)
  const kept = await readBounds(file)
  if (kept !== null && kept.threads === threads) {
    const age = time() - Date.parse(kept.measuredAt)
    if (age >= 0 && age < day) return kept
  }
  if (availableMemory().bytes < neededBytes) return null
  await onMeasuring?.()
  meter.start()
  // The run is measured already: it must not fail for what may be unknown.
  const bounds = await measure(threads).catch(() => null)
  meter.stop()
  if (bounds === null || isCrowded(meter.use())) return bounds
  const write = writeBeside(file, async (handle) => {
    await handle.writeFile(JSON.stringify(bounds))
  })
  await write.catch(() => undefined)
  return bounds
}

/** A data folder may be shared by machines, so the file is named by what makes one. */
function boundsFile(dataDir: string, threads: number): string {
  const machine = [hostname(), cpus()[0]?.model ?? '', String(cpus().length), String(totalmem())]
  const name = createHash('sha256').update(machine.join('\n')).digest('hex').slice(0, 16)
  return join(dataDir, 'machine-bounds', `${name}-threads${threads}.json`)
}

async function readBounds(file: string): Promise<MachineBounds | null> {
  try {
    return storedBounds.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch {
    return null
  }
}

async function measureBounds(threads: number): Promise<MachineBounds> {
  return {
    bytesPerSecond: await readingSpeed(threads),
    flopsPerSecond: await computingSpeed(threads),
    threads,
    measuredAt: new Date().toISOString(),
  }
}

/** Bytes a second of the fastest way to read, with one thread or all of them, through one stream or several. */
async function readingSpeed(threads: number): Promise<number> {
  const ways = threads === 1 ? [1] : [1, threads]
  const streams = [1, 2, 4, 8]
  const line = threads * 8 * 64
  const probe = await openBandwidthProbe({ bytes: Math.floor(probeBytes / line) * line, threads: ways, streams })
  try {
    return await bestWithin(longestReading, async () => (await probe.measure()).bytesPerSecond)
  } finally {
    await probe.close()
  }
}

/** Operations a second of the product of two square matrices in f32, by the runtime that computes the models. */
async function computingSpeed(threads: number): Promise<number> {
  const product = await openPlainProduct({ rows: size, inner: size, columns: size }, threads)
  try {
    return await bestWithin(longestComputing, async () => product.operations / (await product.run()))
  } finally {
    await product.close()
  }
}

/** Twice at the least, as the first time wakes threads and clocks. */
async function bestWithin(milliseconds: number, once: () => Promise<number>): Promise<number> {
  const start = now()
  let best = await once()
  do best = Math.max(best, await once())
  while (now() - start < milliseconds)
  return best
}
