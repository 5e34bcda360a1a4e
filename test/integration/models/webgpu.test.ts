import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ExecutionProvider } from '../../../src/onnx/session.ts'
import { compiledFile } from '../../../src/package-folder.ts'
import { probeDevices } from '../../../src/workers/devices.ts'
import type { ProviderRun } from '../../support/logits-on-provider.ts'
import { findVulkanDriver } from '../../support/vulkan-driver.ts'

const driver = findVulkanDriver()
const entry = compiledFile('test/support/logits-on-provider.ts')

const gpt2 = { n_layer: 2, n_head: 8, n_embd: 64, n_positions: 64, n_ctx: 64, vocab_size: 300, initializer_range: 0.3 }
const llama = {
  num_hidden_layers: 2,
  hidden_size: 64,
  intermediate_size: 96,
  num_attention_heads: 8,
  num_key_value_heads: 8,
  head_dim: 8,
  vocab_size: 300,
  initializer_range: 0.3,
}
const falcon = {
  num_hidden_layers: 2,
  hidden_size: 96,
  ffn_hidden_size: 80,
  vocab_size: 300,
  max_position_embeddings: 64,
  initializer_range: 0.3,
}
const models = [
  { name: 'GPT-2, MHA', source: { preset: 'gpt2', seed: 1, overrides: gpt2 }, kvHeads: 8 },
  { name: 'GPT-2, GQA', source: { preset: 'gpt2', seed: 1, overrides: gpt2 }, kvHeads: 2 },
  { name: 'Llama, MQA', source: { preset: 'llama-2-7b', seed: 1, overrides: llama }, kvHeads: 1 },
  {
    name: 'Mixtral, windows, all experts run',
    source: { preset: 'mixtral-small', seed: 1, overrides: { ...llama, num_local_experts: 4, sliding_window: 5 } },
    kvHeads: 2,
  },
  { name: 'Falcon, ALiBi', source: { preset: 'falcon-rw-small', seed: 1, overrides: falcon }, kvHeads: 12 },
]
/** A prompt, single tokens, and a chunk at depth. */
const steps = [[3, 1, 4, 1, 5, 9, 2, 6, 5], [3], [7, 8, 2], [9]]

let dataDir = ''
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'kvscope-webgpu-'))
  if (driver !== null) process.env.VK_ICD_FILENAMES = driver
})
afterAll(() => rm(dataDir, { recursive: true, force: true }))

/** [model][step][logit] */
async function logitsOn(provider: ExecutionProvider): Promise<number[][][]> {
  const runs: ProviderRun[] = models.map(({ source, kvHeads }) => ({ source, kvHeads, provider, dataDir, steps }))
  const child = spawn(process.execPath, [entry, JSON.stringify(runs)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [printed, complaints] = await Promise.all([text(child.stdout), text(child.stderr)])
  const lines = printed.trim().split('\n')
  if (lines.length !== models.length) throw new Error(`${provider} ended after ${lines.length} models: ${complaints}`)
  return lines.map((line) => JSON.parse(line))
}

// GPU or software, a Vulkan driver is needed (apt-get install chromium libvulkan1); without one these show as skipped.
describe.skipIf(driver === null)(`WebGPU on ${driver ?? 'no Vulkan driver'}`, () => {
  it('is offered by the probe', { timeout: 120_000 }, async () => {
    const refused: string[] = []
    const offered = await probeDevices((device, reason) => refused.push(`${device}: ${reason}`))
    expect(offered, refused.join('\n')).toContain('WEBGPU')
  })

  it('computes the logits that the CPU does, at every step and for every kind', { timeout: 180_000 }, async () => {
    const onCpu = await logitsOn('cpu')
    const onGpu = await logitsOn('webgpu')
    for (const [m, { name }] of models.entries()) {
      for (const [s, expected] of (onCpu[m] ?? []).entries()) {
        const found = onGpu[m]?.[s] ?? []
        expect(found.length).toBe((steps[s]?.length ?? 0) * 300)
        const largest = Math.max(...expected.map(Math.abs))
        const worst = Math.max(...expected.map((value, i) => Math.abs(value - (found[i] ?? Number.NaN))))
        expect(worst / largest, `${name}, step ${s}`).toBeLessThan(1e-5)
      }
    }
  })
})
