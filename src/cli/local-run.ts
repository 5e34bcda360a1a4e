import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { BenchSink } from '../bench/result.ts'
import { runBenchmark } from '../bench/run-benchmark.ts'
import { connectDatabase, type Database } from '../db/client.ts'
import { lockMachine } from '../db/machine-lock.ts'
import { cancelRun } from '../db/runs.ts'
import { beat, registerWorker, removeWorker } from '../db/workers.ts'
import { AppError, toErrorRecord } from '../errors.ts'
import { type BenchmarkSpec, type BenchmarkSpecInput, benchmarkSpec, parseSpec } from '../jobs/spec.ts'
import { submitRun } from '../jobs/submit.ts'
import { describeFailure } from '../workers/cause-of-death.ts'
import { openRunStore } from '../workers/database-store.ts'
import { readMachineId } from '../workers/machine-id.ts'
import type { Guard, RunStore } from '../workers/run-store.ts'
import type { CommandContext } from './command.ts'
import { type Heartbeat, keepBeating } from './heartbeat.ts'

/**
 * Runs a benchmark in this process and stores it exactly as a worker would: this process is a worker for that time, one
 * that offers no device, holds the machine's lock, and takes its own run, so nothing goes through a queue.
 * @returns the run's id
 * @throws AppError as the benchmark does; the run is then stored as FAILED, or as CANCELED after Ctrl-C
 */
export async function measureAndStore(
  input: BenchmarkSpecInput,
  context: CommandContext,
  databaseUrl: string,
): Promise<string> {
  const { config, terminal, signal } = context
  const db = connectDatabase(databaseUrl, { maxConnections: 4 })
  const workerId = randomUUID()
  const machineId = await readMachineId()
  const patience = setTimeout(() => terminal.note('Waiting for another benchmark on this machine to end ...'), 1_000)
  const lock = await lockMachine(databaseUrl, machineId, { signal }).finally(() => clearTimeout(patience))
  let heartbeat: Heartbeat | null = null
  try {
    await registerWorker(db, { id: workerId, hostname: hostname(), pid: process.pid, machineId, devices: [] })
    heartbeat = keepBeating(() => beat(db, workerId), config)
    const store = openRunStore(db, { workerId, queueLockMs: config.queueLockMs, signal })
    const withoutQueue = { enqueue: () => Promise.resolve() }
    const submission = { spec: parseSpec(input), labels: [], note: 'kvscope bench', idempotencyKey: null }
    const { runId } = await submitRun({ db, queues: withoutQueue, config }, submission)
    const taken = await store.take(runId)
    if (taken === null)
      throw new AppError('CONFLICT', `Run ${runId} was taken by another worker`, 'Run the command again.')
    await execute(taken, benchmarkSpec.parse(taken.spec), { store, db, heartbeat, context })
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
  db: Database
  heartbeat: Heartbeat
  context: CommandContext
}

async function execute(
  guard: Guard,
  spec: BenchmarkSpec,
  { store, db, heartbeat, context }: ExecutionParts,
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
    const outcome = await runBenchmark(spec, config, sink)
    const { environment, ...rest } = outcome
    await store.finish(guard, { outcome: { ...rest, environment: { ...environment } } }, null)
  } catch (error) {
    if (signal.aborted) await cancelRun(db, guard.runId)
    else
      await store.finish(
        guard,
        { error: error instanceof AppError ? toErrorRecord(error) : describeFailure(error) },
        null,
      )
    throw error
  } finally {
    terminal.endProgress()
  }
}

function ensureMine(written: boolean): void {
  if (!written) throw new AppError('CONFLICT', 'The run was cancelled or taken by another worker')
}
