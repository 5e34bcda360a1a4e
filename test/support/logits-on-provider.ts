import { convertKvHeads } from '../../src/models/convert.ts'
import { loadModel } from '../../src/models/runner.ts'
import { openSynthetic, type SyntheticSource } from '../../src/models/synthetic.ts'
import type { ExecutionProvider } from '../../src/onnx/session.ts'

/** What the process prints: logits of every position, step by step. */
export interface ProviderRun {
  source: SyntheticSource
  kvHeads: number
  provider: ExecutionProvider
  dataDir: string
  /** new tokens of each step */
  steps: number[][]
}

// A process of its own: a driver that crashes may not take the tests with it.
const runs: ProviderRun[] = JSON.parse(process.argv[2] ?? '[]')
for (const { source, kvHeads, provider, dataDir, steps } of runs) {
  const opened = await openSynthetic(source, dataDir)
  const { checkpoint, config } = await convertKvHeads(
    opened.checkpoint,
    opened.config,
    { kvHeads, method: 'MEAN' },
    dataDir,
  )
  const model = await loadModel(checkpoint, config, { provider, threads: 1, logits: 'all' })
  const cache = model.createCache()
  const logits: number[][] = []
  for (const step of steps) logits.push([...(await model.forward([step], cache)).data])
  await model.close()
  process.stdout.write(`${JSON.stringify(logits)}\n`)
}
