import { randomUUID } from 'node:crypto'
import type { Database } from '../../src/db/client.ts'
import type { NewSubject } from '../../src/db/rows.ts'
import { insertRun, type NewRun } from '../../src/db/runs.ts'
import { registerWorker } from '../../src/db/workers.ts'
import type { MeasuredSeries } from '../../src/stats/measured-series.ts'

/** A subject as submission describes it; what a test cares about is overridden. */
export function sampleSubject(overrides: Partial<NewSubject> = {}): NewSubject {
  return {
    name: 'gpt2-kv4',
    modelName: 'gpt2',
    attentionKind: 'GQA',
    kvHeads: 4,
    device: 'CPU',
    threads: null,
    synthetic: true,
    model: { name: 'gpt2', layers: 12 },
    ...overrides,
  }
}

export function sampleRun(overrides: Partial<NewRun> = {}): NewRun {
  return {
    kind: 'BENCHMARK',
    device: 'CPU',
    spec: { kind: 'BENCHMARK', version: 1 },
    specHash: 'hash',
    subjects: [sampleSubject()],
    labels: [],
    note: null,
    idempotencyKey: null,
    ...overrides,
  }
}

/** @returns the id */
export async function insertSampleRun(db: Database, overrides: Partial<NewRun> = {}): Promise<string> {
  return (await insertRun(db, sampleRun(overrides))).runId
}

/** Registers a worker that was just seen. @returns its id */
export async function insertSampleWorker(db: Database, hostname = 'here'): Promise<string> {
  const id = randomUUID()
  await registerWorker(db, { id, hostname, pid: 1, machineId: hostname, devices: ['CPU'] })
  return id
}

export function sampleSeries(overrides: Partial<MeasuredSeries> = {}): MeasuredSeries {
  return {
    subjectIndex: 0,
    phase: 'DECODE',
    test: 'tg32 @ d512',
    promptTokens: 0,
    generatedTokens: 32,
    depth: 512,
    batch: 1,
    samples: [101.25, 100.1, 0.1 + 0.2],
    kvCacheBytes: 2 ** 40 + 1,
    kvCacheBytesPredicted: 2 ** 40 + 1,
    kvCacheBytesAllocated: null,
    peakMemoryBytes: 123_456,
    peakMemoryBytesPredicted: 234_567,
    bytesRead: 2 ** 41 + 1,
    kvBytesRead: 2 ** 40 + 1,
    flops: 1.5e9,
    warnings: [{ code: 'NOISY', message: 'm', advice: 'a' }],
    ...overrides,
  }
}
