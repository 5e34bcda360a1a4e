import { fileURLToPath } from 'node:url'
import { measureBenchmark } from './benchmark.ts'
import { describeFailure } from './cause-of-death.ts'
import type { ChildMessage, ChildSink, Outcome, StartMessage } from './messages.ts'
import { dieWithParent } from './parent-watch.ts'

/** Sends in order; the channel to the parent is a pipe, so nothing overtakes. */
function send(message: ChildMessage): Promise<void> {
  return new Promise((resolve, reject) => {
    if (process.send === undefined) return reject(new Error('a child needs the channel of a worker'))
    process.send(message, undefined, undefined, (error) => (error === null ? resolve() : reject(error)))
  })
}

const post = (message: ChildMessage): void => {
  // A failing channel means that the worker is gone, and then this process ends anyway.
  void send(message).catch(() => process.exit(1))
}

const sink: ChildSink = {
  progress: (fraction, message) => post({ type: 'progress', fraction, message }),
  subjects: (rows) => post({ type: 'subjects', rows }),
  series: (rows) => post({ type: 'series', rows }),
}

/** One entry a job kind. */
function work({ spec, dataDir, modelRoots }: StartMessage): Promise<Outcome> {
  switch (spec.kind) {
    case 'BENCHMARK':
      return measureBenchmark(spec, { dataDir, modelRoots }, sink)
  }
}

async function execute(start: StartMessage): Promise<void> {
  try {
    await send({ type: 'outcome', outcome: await work(start) })
  } catch (error) {
    const stack = error instanceof Error ? error.stack : String(error)
    process.stderr.write(`${stack}\n`)
    await send({ type: 'failed', error: describeFailure(error) })
  }
  process.exit(0)
}

/**
 * The entry of one execution: computes what the parent's one message asks for, sends results as they come, and ends.
 * It knows no database, and it dies with its parent.
 * @param parent pid of the worker
 */
export function runChild(parent: number): void {
  dieWithParent(parent)
  // Ctrl-C reaches the whole process group; whether the work goes on is the worker's to decide.
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => undefined)
  process.once('disconnect', () => process.exit(1))
  process.once('message', (start: StartMessage) => void execute(start))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) runChild(Number(process.argv[2]))
