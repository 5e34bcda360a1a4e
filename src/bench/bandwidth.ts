import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { assembleReader } from './wasm-reader.ts'

/** How the memory was read by the probe that read fastest. */
export interface ReadRate {
  bytesPerSecond: number
  threads: number
  streams: number
}

export interface BandwidthProbe {
  /** Reads the whole buffer once in each way and returns the fastest. */
  measure(): Promise<ReadRate>
  close(): Promise<void>
}

export interface BandwidthOptions {
  /** a multiple of threads x streams x 64; far larger than the caches */
  bytes: number
  threads: readonly number[]
  streams: readonly number[]
}

const pageBytes = 65_536

/** One reading thread: it is given modules and regions, and says how long each read took by the common clock. */
const readerSource = `
const { parentPort, workerData: { memory } } = require('node:worker_threads')
const readers = new Map()
parentPort.on('message', ({ key, module, start }) => {
  if (module) readers.set(key, new WebAssembly.Instance(module, { env: { memory } }).exports.read)
  if (start === null) return parentPort.postMessage(null)
  const begin = process.hrtime.bigint()
  const sum = readers.get(key)(start)
  parentPort.postMessage({ begin, end: process.hrtime.bigint(), sum })
})
`

/**
 * Measures how fast main memory can be read: shared memory filled once, read by 128-bit loads in several threads, each
 * its own part, through several streams that the processor prefetches side by side.
 */
export async function openBandwidthProbe({ bytes, threads, streams }: BandwidthOptions): Promise<BandwidthProbe> {
  const pages = Math.ceil(bytes / pageBytes)
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
  new Uint8Array(memory.buffer).fill(1)
  const workers = Array.from(
    { length: Math.max(...threads) },
    () => new Worker(readerSource, { eval: true, workerData: { memory } }),
  )

  const ways = threads.flatMap((count) => streams.map((width) => ({ threads: count, streams: width })))
  for (const way of ways) {
    const bytesPerStream = bytes / way.threads / way.streams
    const module = new WebAssembly.Module(assembleReader({ streams: way.streams, bytesPerStream, pages }))
    await Promise.all(workers.map((worker) => ask(worker, { key: keyOf(way), module, start: null })))
  }

  async function readOnce(way: (typeof ways)[number]): Promise<number> {
    const parts = workers.slice(0, way.threads)
    const answers = await Promise.all(
      parts.map((worker, index) =>
        ask(worker, { key: keyOf(way), module: null, start: (index * bytes) / way.threads }),
      ),
    )
    const times = answers.filter((answer) => answer !== null)
    const begin = Math.min(...times.map((time) => Number(time.begin)))
    const end = Math.max(...times.map((time) => Number(time.end)))
    return bytes / ((end - begin) / 1e9)
  }

  return {
    async measure() {
      let best: ReadRate = { bytesPerSecond: 0, threads: 0, streams: 0 }
      for (const way of ways) {
        const bytesPerSecond = await readOnce(way)
        if (bytesPerSecond > best.bytesPerSecond) best = { bytesPerSecond, ...way }
      }
      return best
    },
    close: async () => {
      await Promise.all(workers.map((worker) => worker.terminate()))
    },
  }
}

interface Question {
  key: string
  module: WebAssembly.Module | null
  start: number | null
}
type Answer = { begin: bigint; end: bigint; sum: number } | null

async function ask(worker: Worker, question: Question): Promise<Answer> {
  worker.postMessage(question)
  const [answer]: Answer[] = await once(worker, 'message')
  return answer ?? null
}

function keyOf({ threads, streams }: { threads: number; streams: number }): string {
  return `${threads}x${streams}`
}
