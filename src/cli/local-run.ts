import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { BenchSink } from '../bench/result.ts'
import { connectDatabase } from '../db/client.ts'
import { lockMachine } from '../db/machine-lock.ts'
import { cancelRun } from '../db/runs.ts'
import { beat, registerWorker, removeWorker } from '../db/workers.ts'
import { AppError, type ErrorRecord, toErrorRecord } from '../errors.ts'
import type { Label } from '../jobs/labels.ts'
import { type BenchmarkSpec, parseSpec, type RunSpec, type RunSpecInput } from '../jobs/spec.ts'
import { submitRun } from '../jobs/submit.ts'
import { createLogger } from '../log.ts'
import { describeFailure } from '../workers/cause-of-death.ts'
import { openRunStore } from '../workers/database-store.ts'
import { execute as executeInChild } from '../workers/execution.ts'
import { fetchModels } from '../workers/fetch-models.ts'
import { readMachineId } from '../workers/machine-id.ts'
import type { Guard, RunStore } from '../workers/run-store.ts'
import type { CommandContext } from './command.ts'
import { type Heartbeat, keepBeating } from './heartbeat.ts'

/**
 * Carries a run out and stores it exactly as a worker would: this process is a worker for that time, one that offers no
 * device, holds the machine's lock, and takes its own run, so nothing goes through a queue. A benchmark is timed in this
 * very process; what is not timed is left to a child, as by every worker.
 * @returns the run's id
 * @throws AppError as the work does; the run is then stored as FAILED, or as CANCELED after Ctrl-C
 */
export async function runAndStore(
  input: RunSpecInput,
  note: string,
  context: CommandContext,
  databaseUrl: string,
  labels: readonly Label[] = [],
): Promise<string> {
  const { config, terminal, signal } = context
  const db = connectDatabase(databaseUrl, { maxConnections: 4 })
  const workerId = randomUUID()
  const machineId = await readMachineId()
  const patience = setTimeout(() => terminal.note('Waiting for another run on this machine to end ...'), 1_000)
  const lock = await lockMachine(databaseUrl, machineId, { signal }).finally(() => clearTimeout(patience))
  let heartbeat: Heartbeat | null = null
  try {
    await registerWorker(db, { id: workerId, hostname: hostname(), pid: process.pid, machineId, devices: [] })
    heartbeat = keepBeating(() => beat(db, workerId), config)
    const store = openRunStore(db, { workerId, queueLockMs: config.queueLockMs, signal })
    const withoutQueue = { enqueue: () => Promise.resolve() }
    // It runs here, wherever its spec would place it.
    const spec = { ...parseSpec(input), placement: null }
    const submission = { spec, labels, note, idempotencyKey: null }
    const { runId } = await submitRun({ db, queues: withoutQueue, config }, submission)
    const taken = await store.take(runId)
    if (taken === null)
      throw new AppError('CONFLICT', `Run ${runId} was taken by another worker`, 'Run the command again.')
    try {
      await execute(taken, parseSpec(taken.spec), { store, heartbeat, context })
    } catch (error) {
      if (signal.aborted) await cancelRun(db, runId)
      throw error
    } finally {
      terminal.endProgress()
    }
    return runId
  } finally {
    await heartbeat?.stop()
    await removeWorker(db, workerId).catch(() => undefined)
    await lock.release()
    await db.close()
  }
}

interface ExecutionParts {
  store: RunStore
  heartbeat: Heartbeat
  context: CommandContext
}

function execute(guard: Guard, spec: RunSpec, parts: ExecutionParts): Promise<void> {
  return spec.kind === 'BENCHMARK' ? measureHere(guard, spec, parts) : workInChild(guard, spec, parts)
}

async function measureHere(
  guard: Guard,
  spec: BenchmarkSpec,
  { store, heartbeat, context }: ExecutionParts,
): Promise<void> {
  const { config, terminal, signal } = context
  const sink: BenchSink = {
    async progress(fraction, message) {
      heartbeat.afterTrials()
      signal.throwIfAborted()
      terminal.progress(fraction, message)
      ensureMine(await store.addProgress(guard, fraction, message))
    },
    async subjects(rows) {
      ensureMine(await store.completeSubjects(guard, rows))
    },
    async series(rows) {
      heartbeat.afterTrials()
      ensureMine(await store.insertSeries(guard, rows))
    },
    beforeTrial: () => heartbeat.beforeTrial(),
  }
  try {
    const { runBenchmark } = await import('../bench/run-benchmark.ts')
    const { spec: here, roots } = await fetchModels(spec, config.hub, sink, signal)
    const places = { dataDir: config.dataDir, modelRoots: [...config.modelRoots, ...roots] }
    const outcome = await runBenchmark(here, places, sink)
    const { environment, ...rest } = outcome
    await store.finish(guard, { outcome: { ...rest, environment: { ...environment } } }, null)
  } catch (error) {
    if (!signal.aborted) {
      const record = error instanceof AppError ? toErrorRecord(error) : describeFailure(error)
      await store.finish(guard, { error: record }, null)
    }
    throw error
  }
}

/** The way of every worker's execution; its progress is told to the terminal and its failure to the caller. */
async function workInChild(guard: Guard, spec: RunSpec, { store, context }: ExecutionParts): Promise<void> {
  const { config, terminal, signal } = context
  const ended: { error: ErrorRecord | null } = { error: null }
  const told: RunStore = {
    ...store,
    addProgress(of, fraction, message) {
      terminal.progress(fraction, message)
      return store.addProgress(of, fraction, message)
    },
    finish(of, result, log) {
      if ('error' in result) ended.error = result.error
      return store.finish(of, result, log)
    },
  }
  const logger = createLogger('worker', 'error')
  const onRun = () => () => undefined
  const end = await executeInChild(guard, spec, { store: told, config, logger, signal, onRun })
  signal.throwIfAborted()
  ensureMine(end === 'finished')
  if (ended.error !== null) throw new AppError(ended.error.code, ended.error.message, ended.error.hint)
}

function ensureMine(written: boolean): void {
  if (!written) throw new AppError('CONFLICT', 'The run was cancelled or taken by another worker')
}
