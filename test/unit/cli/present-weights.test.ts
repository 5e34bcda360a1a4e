import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { presentWeightBytes } from '../../../src/cli/present-weights.ts'
import { parseSpec } from '../../../src/jobs/spec.ts'
import { convertKvHeads } from '../../../src/models/convert.ts'
import { openSynthetic } from '../../../src/models/synthetic.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-present-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

const overrides = { n_layer: 2, n_head: 4, n_embd: 32, n_positions: 32, n_ctx: 32, vocab_size: 256 }
const subjectsOf = (seed: number) => {
  const source = { synthetic: { preset: 'gpt2', seed, overrides } }
  const subjects = [{ source }, { source, convert: { kvHeads: 2 } }, { source, convert: { kvHeads: 1 } }]
  return parseSpec({ kind: 'BENCHMARK', version: 1, subjects, tests: [{ promptTokens: 16 }] }).subjects
}

it("counts a run's own weights and conversions, once each, and nothing else that lies beside them", async () => {
  expect(await presentWeightBytes(subjectsOf(0), dataDir)).toBe(0)
  const { checkpoint, config } = await openSynthetic({ preset: 'gpt2', seed: 0, overrides }, dataDir)
  const source = statSync(join(checkpoint.directory, 'model.safetensors')).size
  expect(await presentWeightBytes(subjectsOf(0), dataDir)).toBe(source)

  const conversion = { kvHeads: 1, method: 'MEAN' } as const
  const converted = await convertKvHeads(checkpoint, config, conversion, dataDir)
  const files = new Set([...converted.checkpoint.tensors.values()].map(({ file }) => file))
  expect(files.size).toBe(2)
  const both = [...files].reduce((sum, file) => sum + statSync(file).size, 0)
  writeFileSync(join(dataDir, 'weights', 'another-model.safetensors'), 'x'.repeat(1000))
  expect(await presentWeightBytes(subjectsOf(0), dataDir)).toBe(both)
  expect(await presentWeightBytes(subjectsOf(1), dataDir)).toBe(0)
})
