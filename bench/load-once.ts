import { parseArgs } from 'node:util'
import { readModelConfig } from '../src/architecture/read-config.ts'
import { now } from '../src/bench/clock.ts'
import { peakResidentBytes } from '../src/bench/memory.ts'
import { seededTokens } from '../src/bench/tokens.ts'
import { openCheckpoint } from '../src/checkpoints/open.ts'
import { loadModel } from '../src/models/runner.ts'

// One load in a process of its own, for bench/load.ts: what it takes until the first token after a prompt is there, what a
// token takes after that, and what the process has held at most. Prints JSON.

const { values } = parseArgs({
  options: {
    folder: { type: 'string' },
    prompt: { type: 'string', default: '9' },
    threads: { type: 'string', default: '1' },
    mapped: { type: 'boolean', default: false },
  },
})
if (values.folder === undefined) throw new TypeError('--folder names a checkpoint')
const generated = 8

const start = now()
const checkpoint = await openCheckpoint(values.folder)
const config = readModelConfig(checkpoint.config, 'loaded')
const model = await loadModel(checkpoint, config, {
  provider: 'cpu',
  threads: Number(values.threads),
  mapped: values.mapped,
})
const loaded = now()
const cache = model.createCache()
await model.forward(seededTokens(0, config.vocabularySize, 1, Number(values.prompt)), cache)
const first = now()
for (let token = 0; token < generated; token += 1) await model.forward([[token]], cache)
const end = now()
process.stdout.write(
  JSON.stringify({
    load: loaded - start,
    firstToken: first - start,
    perToken: (end - first) / generated,
    peakBytes: peakResidentBytes(),
  }),
)
await model.close()
