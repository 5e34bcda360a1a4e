import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { expectedTensors } from '../../../src/architecture/expected-tensors.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { writeSafetensors } from '../../../src/checkpoints/write-safetensors.ts'
import { readConfig } from '../../../src/config.ts'
import { connectDatabase, type Database } from '../../../src/db/client.ts'
import { findSubjects } from '../../../src/db/run-parts.ts'
import type { RunQueue } from '../../../src/db/run-queue.ts'
import { requireRun } from '../../../src/db/runs.ts'
import { retry } from '../../../src/jobs/control.ts'
import { queueName } from '../../../src/jobs/queue-names.ts'
import { parseSpec, specHash } from '../../../src/jobs/spec.ts'
import { type Submission, submitRun } from '../../../src/jobs/submit.ts'
import { insertSampleWorker } from '../../support/sample-runs.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { writeTinyCheckpoint } from '../../support/tiny-checkpoint.ts'
import { tinyOverrides, tinySource, tinySpec } from '../../support/tiny-spec.ts'

let db: Database
/** What was enqueued; the transport itself is tested with a worker at its other end. */
let sent: [string, string, number][] = []
const queues = {
  enqueue: async (runId: string, queue: RunQueue, attempt: number) => {
    sent.push([runId, queueName(queue), attempt])
  },
}
const config = readConfig({})
const submit = (submission: Submission) => submitRun({ db, queues, config }, submission)

beforeAll(async () => {
  db = connectDatabase(await createTestDatabase())
  return () => db.close()
})

describe('submitting a run', () => {
  it('stores the canonical spec with its names, a snapshot of every subject, and enqueues the first attempt', async () => {
    sent = []
    const { runId, alreadyExisted } = await submit({
      spec: tinySpec(),
      labels: [{ key: 'purpose', value: 'test' }],
      note: 'a note',
    })
    const run = await requireRun(db, runId)
    const spec = parseSpec(run.spec)
    expect(alreadyExisted).toBe(false)
    const asked = specHash(parseSpec(tinySpec()))
    expect(run).toMatchObject({ status: 'QUEUED', device: 'CPU', attempt: 0, note: 'a note', specHash: asked })
    expect(spec.subjects.map((subject) => subject.name)).toEqual(['gpt2', 'gpt2-kv1'])
    expect((await findSubjects(db, [runId])).get(runId)).toMatchObject([
      { name: 'gpt2', modelName: 'gpt2', attentionKind: 'MHA', kvHeads: 4, synthetic: true },
      { name: 'gpt2-kv1', modelName: 'gpt2', attentionKind: 'MQA', kvHeads: 1, synthetic: true },
    ])
    expect(sent).toEqual([[runId, 'kvscope-cpu', 1]])
  })

  it('makes default names unique and keeps given ones', async () => {
    const subjects = [{ source: tinySource }, { source: tinySource, name: 'gpt2-2' }, { source: tinySource }]
    const { runId } = await submit({ spec: tinySpec({ subjects }) })
    const spec = parseSpec((await requireRun(db, runId)).spec)
    expect(spec.subjects.map((subject) => subject.name)).toEqual(['gpt2', 'gpt2-2', 'gpt2-3'])
  })

  it('refuses two subjects of one name', async () => {
    const subjects = [
      { source: tinySource, name: 'a' },
      { source: tinySource, name: 'a' },
    ]
    await expect(submit({ spec: tinySpec({ subjects }) })).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
  })

  it('waits in the queue of the only device besides the CPU', async () => {
    const subjects = [{ source: tinySource }, { source: tinySource, device: 'CUDA' as const }]
    const { runId } = await submit({ spec: tinySpec({ subjects }) })
    expect((await requireRun(db, runId)).device).toBe('CUDA')
  })

  it('refuses subjects of two devices besides the CPU, naming both', async () => {
    const subjects = [
      { source: tinySource, device: 'WEBGPU' as const },
      { source: tinySource, device: 'CUDA' as const },
    ]
    await expect(submit({ spec: tinySpec({ subjects }) })).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
      message: expect.stringMatching(/WEBGPU and CUDA/),
    })
  })

  it('takes a test that fills the context to its last position, and refuses one token more with both numbers', async () => {
    await submit({ spec: tinySpec({ tests: [{ depth: 100, promptTokens: 20, generatedTokens: 8 }] }) })
    const tests = [{ depth: 100, promptTokens: 20, generatedTokens: 9 }]
    await expect(submit({ spec: tinySpec({ tests }) })).rejects.toMatchObject({
      code: 'CONTEXT_EXCEEDED',
      message: expect.stringMatching(/129 tokens.*128/),
    })
  })

  it('refuses K/V heads that the heads there are do not pool into', async () => {
    const subjects = [{ source: tinySource, convert: { kvHeads: 3 } }]
    await expect(submit({ spec: tinySpec({ subjects }) })).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
  })

  it('refuses a local checkpoint outside the model roots', async () => {
    const subjects = [{ source: { local: { path: '/etc' } } }]
    await expect(submit({ spec: tinySpec({ subjects }) })).rejects.toMatchObject({ code: 'PATH_FORBIDDEN' })
  })

  /** A folder with this config.json, and weights of its sizes where its family is known. */
  async function folderOf(raw: Record<string, unknown>, hasWeights = true): Promise<string> {
    const folder = mkdtempSync(join(tmpdir(), 'kvscope-submit-'))
    writeFileSync(join(folder, 'config.json'), JSON.stringify(raw))
    const expected = hasWeights ? expectedTensors(readModelConfig(raw, 'tiny')) : []
    const tensors = expected.map(({ name, shape }) => ({ name, shape, fill() {} }))
    await writeSafetensors(join(folder, 'model.safetensors'), tensors, {})
    return folder
  }

  it('refuses a family that nobody knows here, naming it and those that are known', async () => {
    const folder = await folderOf({ model_type: 'rwkv', num_hidden_layers: 1 }, false)
    try {
      const spec = tinySpec({ subjects: [{ source: { local: { path: folder } } }] })
      const config = readConfig({ KVSCOPE_MODEL_ROOTS: folder })
      await expect(submitRun({ db, queues, config }, { spec })).rejects.toMatchObject({
        code: 'CONFIG_UNSUPPORTED',
        message: expect.stringContaining('model_type = "rwkv"'),
        hint: expect.stringMatching(/gpt2, .*llama/),
      })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('takes weight slices of a folder whose weights are there, pooled too where its heads pool', async () => {
    const raw = { model_type: 'qwen2', num_hidden_layers: 1, hidden_size: 8, intermediate_size: 8, vocab_size: 5 }
    const folder = await folderOf({ ...raw, num_attention_heads: 4, num_key_value_heads: 2 })
    try {
      const slices = (subject: object) => {
        const source = { local: { path: folder } }
        const spec = { kind: 'WEIGHT_SLICES', version: 1, subjects: [{ source, name: 'qwen', ...subject }] }
        return submitRun({ db, queues, config: readConfig({ KVSCOPE_MODEL_ROOTS: folder }) }, { spec })
      }
      for (const subject of [{}, { convert: { kvHeads: 1 } }]) {
        const { runId } = await slices(subject)
        expect(await requireRun(db, runId)).toMatchObject({ kind: 'WEIGHT_SLICES', status: 'QUEUED' })
      }
      await expect(slices({ convert: { kvHeads: 3 } })).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('refuses an unknown preset, naming those there are', async () => {
    const subjects = [{ source: { synthetic: { preset: 'gpt9' } } }]
    await expect(submit({ spec: tinySpec({ subjects }) })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it.each([
    ['VALIDATION_FAILED', { labels: [{ key: '', value: 'x' }] }],
    ['LIMIT_EXCEEDED', { labels: [{ key: 'k', value: 'x'.repeat(257) }] }],
    ['LIMIT_EXCEEDED', { labels: Array.from({ length: 33 }, (_, index) => ({ key: `k${index}`, value: '' })) }],
    ['LIMIT_EXCEEDED', { note: 'x'.repeat(10_001) }],
    ['VALIDATION_FAILED', { idempotencyKey: '' }],
    ['VALIDATION_FAILED', { idempotencyKey: 'a\0b' }],
    ['LIMIT_EXCEEDED', { idempotencyKey: 'x'.repeat(257) }],
  ] as const)('answers %s to labels, a note or a key out of bounds', async (code, more) => {
    await expect(submit({ spec: tinySpec(), ...more })).rejects.toMatchObject({ code })
  })

  it('puts a run that is placed on a machine into its queue, also before a worker is there', async () => {
    sent = []
    const { runId } = await submit({ spec: tinySpec({ placement: { hostname: 'lab' } }) })
    expect(await requireRun(db, runId)).toMatchObject({ placedHostname: 'lab', placedWorkerId: null, status: 'QUEUED' })
    expect(sent).toEqual([[runId, queueName({ device: 'CPU', placedHostname: 'lab', placedWorkerId: null }), 1]])
  })

  it('puts a run that is placed on a live worker into its queue, and refuses a device that it does not offer', async () => {
    sent = []
    const workerId = await insertSampleWorker(db)
    const { runId } = await submit({ spec: tinySpec({ placement: { workerId } }) })
    expect(await requireRun(db, runId)).toMatchObject({ placedHostname: null, placedWorkerId: workerId })
    expect(sent).toEqual([[runId, `kvscope-cpu-worker-${workerId}`, 1]])
    const subjects = [{ source: tinySource, device: 'CUDA' as const }]
    await expect(submit({ spec: tinySpec({ subjects, placement: { workerId } }) })).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
      message: expect.stringMatching(`${workerId}, which does not offer CUDA; alive: .*${workerId} on here \\(CPU\\)`),
    })
  })

  it('refuses a run placed on a worker that is unknown or silent, naming those that live', async () => {
    const [alive, silent] = [await insertSampleWorker(db, 'office'), await insertSampleWorker(db)]
    await db.worker.update({ where: { id: silent }, data: { lastSeen: new Date(0) } })
    for (const workerId of [silent, randomUUID()]) {
      await expect(submit({ spec: tinySpec({ placement: { workerId } }) })).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringMatching(`${workerId}, which is not alive; .*${alive} on office`),
      })
    }
  })

  it('refuses a placement on both a machine and a worker, and on neither', async () => {
    const invalid = { code: 'VALIDATION_FAILED' }
    const both = { hostname: 'lab', workerId: randomUUID() }
    await expect(submit({ spec: tinySpec({ placement: both }) })).rejects.toMatchObject(invalid)
    await expect(submit({ spec: tinySpec({ placement: {} }) })).rejects.toMatchObject(invalid)
    await expect(submit({ spec: tinySpec({ placement: { hostname: 'a\0b' } }) })).rejects.toMatchObject(invalid)
  })

  it('keeps the run when the queue cannot be reached: the sweeper enqueues it', async () => {
    const broken = {
      enqueue: async () => {
        throw new Error('connection refused')
      },
    }
    const { runId } = await submitRun({ db, queues: broken, config }, { spec: tinySpec() })
    expect((await requireRun(db, runId)).status).toBe('QUEUED')
  })
})

describe('an idempotency key', () => {
  it('gives the same run for the same spec, whatever the order of its keys, and sends its message again', async () => {
    const first = await submit({ spec: tinySpec(), idempotencyKey: 'same' })
    sent = []
    const reordered = Object.fromEntries(Object.entries(tinySpec()).reverse())
    expect(await submit({ spec: reordered, idempotencyKey: 'same' })).toEqual({ ...first, alreadyExisted: true })
    expect(sent).toEqual([[first.runId, 'kvscope-cpu', 1]])
  })

  it('finds its run where the model that was asked for is gone', async () => {
    const root = mkdtempSync(join(tmpdir(), 'kvscope-submit-'))
    const path = await writeTinyCheckpoint(join(root, 'model'))
    const context = { db, queues, config: { ...config, modelRoots: [root] } }
    const submission = { spec: tinySpec({ subjects: [{ source: { local: { path } } }] }), idempotencyKey: 'gone' }
    const first = await submitRun(context, submission)
    rmSync(root, { recursive: true })
    expect(await submitRun(context, submission)).toEqual({ ...first, alreadyExisted: true })
    await expect(submitRun(context, { ...submission, idempotencyKey: 'new' })).rejects.toThrow()
  })

  it('is a conflict with another spec', async () => {
    await submit({ spec: tinySpec(), idempotencyKey: 'taken' })
    await expect(submit({ spec: tinySpec({ seed: 1 }), idempotencyKey: 'taken' })).rejects.toMatchObject({
      code: 'CONFLICT',
    })
  })

  it('finds a run placed on a worker that is gone meanwhile', async () => {
    const workerId = await insertSampleWorker(db)
    const submission = { spec: tinySpec({ placement: { workerId } }), idempotencyKey: 'placed' }
    const first = await submit(submission)
    await db.worker.delete({ where: { id: workerId } })
    expect(await submit(submission)).toEqual({ ...first, alreadyExisted: true })
  })

  it('gives one run to many that ask at once', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => submit({ spec: tinySpec(), idempotencyKey: 'race' })))
    expect(new Set(all.map((one) => one.runId)).size).toBe(1)
    expect(all.filter((one) => !one.alreadyExisted)).toHaveLength(1)
  })
})

describe('retrying', () => {
  it('is refused while the run waits', async () => {
    const { runId } = await submit({
      spec: tinySpec({ subjects: [{ source: { synthetic: { preset: 'gpt2', overrides: tinyOverrides } } }] }),
    })
    await expect(retry({ db, queues }, runId)).rejects.toMatchObject({ code: 'RUN_NOT_RETRYABLE' })
  })
})
