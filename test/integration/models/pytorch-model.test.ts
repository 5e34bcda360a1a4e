import { copyFile, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { readTensor } from '../../../src/checkpoints/read-tensor.ts'
import { generateGreedy } from '../../../src/models/generate.ts'
import { loadModel } from '../../../src/models/runner.ts'
import { pytorchFile } from '../../support/pytorch-archive.ts'

async function generate(folder: string): Promise<number[]> {
  const checkpoint = await openCheckpoint(folder)
  const config = readModelConfig(checkpoint.config, 'small')
  const model = await loadModel(checkpoint, config, { provider: 'cpu', threads: 1 })
  const tokens: number[] = []
  for await (const token of generateGreedy(model, [3, 1, 4, 1, 5], 12)) tokens.push(token)
  await model.close()
  return tokens
}

it.each(['llama/gqa', 'gpt2/heads6', 'falcon/falcon_7b'])(
  'generates the same from %s saved by torch.save as from its safetensors',
  async (name) => {
    const stored = resolve('test/golden', name)
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'kvscope-pytorch-')))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    await copyFile(join(stored, 'config.json'), join(folder, 'config.json'))
    const { tensors } = await openCheckpoint(stored)
    const copies = await Promise.all(
      [...tensors.values()].map(async (entry) => ({
        name: entry.name,
        shape: entry.shape,
        values: await readTensor(entry),
      })),
    )
    await writeFile(join(folder, 'pytorch_model.bin'), pytorchFile(copies))
    const tokens = await generate(folder)
    expect(tokens).toHaveLength(12)
    expect(tokens).toEqual(await generate(stored))
  },
)
