import { fileURLToPath } from 'node:url'
import { describeFailure } from './cause-of-death.ts'
import { fetchModels } from './fetch-models.ts'
import type { ChildMessage, ChildSink, NumberedMessage, Outcome, ParentMessage, StartMessage } from './messages.ts'
import { dieWithParent } from './parent-watch.ts'

/** Messages that the parent has not answered yet, by number. */
const unanswered = new Map<number, () => void>()
let sent = 0

/** Resolves when the parent has stored the message. */
function post(message: ChildMessage): Promise<void> {
  return new Promise((resolve, reject) => {
    if (process.send === undefined) return reject(new Error('a child needs the channel of a worker'))
    sent += 1
    unanswered.set(sent, resolve)
    const numbered: NumberedMessage = { number: sent, message }
    process.send(numbered, undefined, undefined, (error) => {
      // A failing channel means that the worker is gone, and then this process ends anyway.
      if (error !== null) process.exit(1)
    })
  })
}

function answer(number: number): void {
  unanswered.get(number)?.()
  unanswered.delete(number)
}

const sink: ChildSink = {
  progress: (fraction, message) => post({ type: 'progress', fraction, message }),
  subjects: (rows) => post({ type: 'subjects', rows }),
  series: (rows) => post({ type: 'series', rows }),
  heads: (batch) => post({ type: 'heads', batch }),
}

/** One entry a job kind, loaded when it is asked for: what reads weights needs no native runtime. */
async function work({ spec: asked, dataDir, modelRoots, hub, maxResultBytes }: StartMessage): Promise<Outcome> {
  const { spec, roots } = await fetchModels(asked, hub, sink)
  const places = { dataDir, modelRoots: [...modelRoots, ...roots] }
  switch (spec.kind) {
    case 'BENCHMARK':
      return (await import('./benchmark.ts')).measureBenchmark(spec, places, sink)
    case 'WEIGHT_SLICES':
      return (await import('./weight-slices.ts')).sliceWeights(spec, { ...places, maxResultBytes }, sink)
    case 'ATTENTION_MAPS':
      return (await import('./attention-maps.ts')).captureMaps(spec, { ...places, maxResultBytes }, sink)
  }
}

async function execute(start: StartMessage): Promise<void> {
  try {
    await post({ type: 'outcome', outcome: await work(start) })
  } catch (error) {
    const stack = error instanceof Error ? error.stack : String(error)
    process.stderr.write(`${stack}\n`)
    await post({ type: 'failed', error: describeFailure(error) })
  }
  process.exit(0)
}

/**
 * The entry of one execution: computes what the parent's first message asks for, sends results as they come, and ends.
 * It knows no database, and it dies with its parent.
 * @param parent pid of the worker
 */
export function runChild(parent: number): void {
  dieWithParent(parent)
  // Ctrl-C reaches the whole process group; whether the work goes on is the worker's to decide.
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => undefined)
  process.once('disconnect', () => process.exit(1))
  process.on('message', (message: ParentMessage) => {
    if (message.type === 'ack') answer(message.number)
    else void execute(message)
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) runChild(Number(process.argv[2]))
