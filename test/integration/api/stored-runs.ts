import { randomUUID } from 'node:crypto'
import { describeModel } from '../../../src/architecture/model-facts.ts'
import { withKvHeads } from '../../../src/architecture/pool-kv-heads.ts'
import { findPreset } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import type { Database } from '../../../src/db/client.ts'
import { completeSubjects, insertSeries } from '../../../src/db/results.ts'
import type { Guard } from '../../../src/db/rows.ts'
import { finishRun, insertRun, takeRun } from '../../../src/db/runs.ts'
import { registerWorker } from '../../../src/db/workers.ts'
import { parseSpec, specHash } from '../../../src/jobs/spec.ts'
import type { MeasuredSeries } from '../../../src/stats/measured-series.ts'

const gpt2 = readModelConfig(findPreset('gpt2').config, 'gpt2')

/** Stores a queued benchmark of gpt2's shape, one subject for each number of K/V heads. */
export async function storeQueuedRun(db: Database, kvHeads: readonly number[] = [12, 4]): Promise<string> {
  const source = { synthetic: { preset: 'gpt2' } }
  const spec = parseSpec({
    kind: 'BENCHMARK',
    version: 1,
    subjects: kvHeads.map((count) => ({ source, name: `kv${count}`, convert: { kvHeads: count } })),
    tests: [{ promptTokens: 64 }, { generatedTokens: 8, depth: 128 }],
  })
  const { runId } = await insertRun(db, {
    kind: 'BENCHMARK',
    device: 'CPU',
    spec,
    specHash: specHash(spec),
    subjects: kvHeads.map((count) => {
      const model = describeModel(withKvHeads(gpt2, count), null)
      return {
        name: `kv${count}`,
        modelName: 'gpt2',
        attentionKind: model.attentionKind,
        kvHeads: count,
        device: 'CPU',
        threads: null,
        synthetic: true,
        model,
      }
    }),
    labels: [{ key: 'suite', value: 'api' }],
    note: null,
    idempotencyKey: null,
  })
  return runId
}

export async function storeWorker(db: Database, hostname = 'quiet'): Promise<string> {
  const id = randomUUID()
  await registerWorker(db, { id, hostname, pid: 1, machineId: hostname, devices: ['CPU'] })
  return id
}

/** Takes a queued run for a worker. */
export async function take(db: Database, runId: string, workerId: string): Promise<Guard> {
  const taken = await takeRun(db, runId, workerId, new Date(0))
  if (taken === null) throw new Error(`run ${runId} could not be taken`)
  return taken
}

function decodeSeries(subjectIndex: number, samples: number[]): MeasuredSeries {
  return {
    subjectIndex,
    phase: 'DECODE',
    test: 'tg8 @ d128',
    promptTokens: 0,
    generatedTokens: 8,
    depth: 128,
    batch: 1,
    samples,
    kvCacheBytes: 1_000_000,
    kvCacheBytesPredicted: 1_000_000,
    kvCacheBytesAllocated: 2_000_000,
    peakMemoryBytes: 5_000_000_000,
    peakMemoryBytesPredicted: 5_100_000_000,
    bytesRead: 8_000_000_000,
    kvBytesRead: 8_000_000,
    flops: 1e10,
    warnings: [],
  }
}

function loadSeries(subjectIndex: number, milliseconds: number): MeasuredSeries {
  const none = {
    kvCacheBytes: null,
    kvCacheBytesPredicted: null,
    kvCacheBytesAllocated: null,
    peakMemoryBytes: null,
    peakMemoryBytesPredicted: null,
    bytesRead: null,
    kvBytesRead: null,
    flops: null,
  }
  const sizes = { promptTokens: 0, generatedTokens: 0, depth: 0, batch: 1 }
  return { subjectIndex, phase: 'LOAD', test: '', samples: [milliseconds], warnings: [], ...sizes, ...none }
}

export const environment = {
  hostname: 'quiet',
  cpu: 'Test CPU',
  cores: 2,
  memoryBytes: 8_000_000_000,
  os: 'linux 6.1',
  node: '20.20.2',
  onnxruntime: '1.30.0',
  kvscope: '0.1.0',
  loadAtStart: 0.1,
  loadAtEnd: 0.9,
}

export interface FinishedRun {
  kvHeads?: readonly number[]
  /** milliseconds by subject */
  decode?: number[][]
  hostname?: string
  fingerprint?: string
  /** of the machine and engine, over those of `environment` */
  environment?: object
}

/** Stores a run as a worker leaves it: subjects opened, series of load and decode, SUCCEEDED. */
export async function storeFinishedRun(db: Database, options: FinishedRun = {}): Promise<string> {
  const {
    kvHeads = [12, 4],
    decode = [
      [10, 11, 10, 11, 10, 11],
      [5, 5, 6, 5, 5, 5],
    ],
    hostname = 'quiet',
    fingerprint = 'f',
  } = options
  const runId = await storeQueuedRun(db, kvHeads)
  const guard = await take(db, runId, await storeWorker(db, hostname))
  const opened = kvHeads.map((_, index) => ({
    index,
    dtype: 'F32',
    computeDtype: 'F32',
    fingerprint: `${fingerprint}${index}`,
    threads: 2,
  }))
  await completeSubjects(db, guard, opened)
  const rows = decode.flatMap((samples, index) => [loadSeries(index, 100), decodeSeries(index, samples)])
  await insertSeries(db, guard, rows)
  await finishRun(db, guard, {
    status: 'SUCCEEDED',
    environment: { ...environment, hostname, ...options.environment },
    warnings: [{ code: 'BUSY', message: 'the machine was busy', advice: 'run it alone' }],
    keyFigure: (decode[0]?.[0] ?? 1) / 8,
  })
  return runId
}

export async function storeFailedRun(db: Database): Promise<string> {
  const runId = await storeQueuedRun(db)
  const guard = await take(db, runId, await storeWorker(db))
  const error = { code: 'OUT_OF_MEMORY', message: 'too little memory', hint: 'use a smaller model' } as const
  await finishRun(db, guard, { status: 'FAILED', error, log: 'last words' })
  return runId
}
