import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { expectedTensors } from '../../src/architecture/expected-tensors.ts'
import { readModelConfig } from '../../src/architecture/read-config.ts'
import { writeSafetensors } from '../../src/checkpoints/write-safetensors.ts'
import { runCommand } from '../support/command-line.ts'
import { startTestHub, type TestHub } from '../support/hub-server.ts'

vi.setConfig({ testTimeout: 120_000 })

const home = mkdtempSync(join(tmpdir(), 'kvscope-inspect-'))
const headDim = 8
const raw = {
  model_type: 'llama',
  hidden_size: 48,
  intermediate_size: 4096,
  num_attention_heads: 6,
  num_hidden_layers: 2,
  num_key_value_heads: 6,
  vocab_size: 500,
  max_position_embeddings: 64,
}
let hub: TestHub
let folder: string
const run = (...args: string[]) =>
  runCommand(args, join(home, 'data'), { HF_ENDPOINT: hub.url, HF_HOME: home, HF_HUB_CACHE: join(home, 'cache') })

/** A GQA with 2 K/V heads that was stored as MHA: heads 0 to 2 are equal, and 3 to 5. */
async function writeRepeatedHeads(): Promise<string> {
  const path = join(home, 'repeated')
  mkdirSync(path)
  writeFileSync(join(path, 'config.json'), JSON.stringify(raw))
  const tensors = expectedTensors(readModelConfig(raw, 'repeated')).map(({ name, shape }, index) => ({
    name,
    shape,
    fill(out: Float32Array, start: number) {
      const repeated = /\.(k|v)_proj\./.test(name)
      const ofHead = headDim * raw.hidden_size
      for (let at = 0; at < out.length; at += 1) {
        const head = Math.floor((start + at) / ofHead)
        const place = repeated ? Math.floor(head / 3) * ofHead + ((start + at) % ofHead) : start + at
        out[at] = Math.sin(index + 0.37 * place)
      }
    },
  }))
  await writeSafetensors(join(path, 'model.safetensors'), tensors, {})
  return path
}

beforeAll(async () => {
  hub = await startTestHub()
  folder = await writeRepeatedHeads()
  hub.pushFolder('lab/repeated', folder)
})
afterAll(async () => {
  await hub.close()
  rmSync(home, { recursive: true, force: true })
})

describe('kvscope inspect', () => {
  it('asks config, shapes and values of a folder, and warns of a GQA stored as MHA', async () => {
    const { code, stdout } = await run('inspect', folder)
    expect(code).toBe(0)
    expect(stdout).toMatch(/config says MHA: .*\n· shapes says MHA: .*\n· values says GQA: each of layers 0 to 1/)
    expect(stdout).toContain('! HEADS_ARE_COPIES')
    expect(stdout).toMatch(/KV bytes a token +384 at 16 bits, 192 at 8, 96 at 4/)
    expect(stdout).toMatch(/model\.layers\.\{0-1\}\.self_attn\.q_proj\.weight +\[48, 48\] +F32 +2/)
    expect(stdout).toMatch(/attention +18,432 +1 % +8/)
  })

  it('reads of a hub model config.json and headers, and its values only when told to', async () => {
    const { stdout, code } = await run('inspect', 'hub:lab/repeated')
    expect(code).toBe(0)
    expect(stdout).toContain('lab/repeated at main, commit')
    expect(stdout).toContain('shapes says MHA')
    expect(stdout).not.toContain('values says')
    const { hub: seen, votes, tensorGroups } = JSON.parse((await run('inspect', 'hub:lab/repeated', '--json')).stdout)
    expect(seen).toMatchObject({ repo: 'lab/repeated', tensorFaults: [], unexpectedTensors: [] })
    expect(seen.bytesFetched).toBeLessThan(70_000)
    expect(votes).toHaveLength(2)
    expect(tensorGroups[0]).toMatchObject({ name: 'model.embed_tokens.weight', dtype: 'F32' })
    const valued = await run('inspect', 'hub:lab/repeated', '--values')
    expect(valued.stdout).toContain('values says GQA: layer 0 stores 6 K/V heads, of which 2 differ, each 3 times')
    const sent = hub.requests.filter(({ host }) => host === 'cdn').reduce((sum, request) => sum + request.sent, 0)
    // Three times the head, and once K and V of one layer; the file takes 2.6 MB.
    expect(sent).toBeLessThan(3 * 65_536 + 2 * 48 * 48 * 4 + 1)
  })

  it('cannot compare the values of what has no weights', async () => {
    const { code, stderr } = await run('inspect', 'gpt2', '--values')
    expect(code).toBe(1)
    expect(stderr).toContain('VALIDATION_FAILED: gpt2 has no weights whose values could be compared')
  })
})

describe('kvscope kv', () => {
  it('counts a hub model by its headers, with the sequences that fit', async () => {
    const { stdout } = await run('kv', 'hub:lab/repeated', '--context', '64', '--memory', '10MB')
    expect(stdout).toContain('2 x 1 x 6 x 8 x 2 x 64 x 2 = 24,576 bytes')
    expect(stdout).toMatch(/sequences fit a device of/)
  })

  it('shows a product for each kind of layer, and their sum', async () => {
    const config = join(home, 'gemma2.json')
    const windowed = {
      ...raw,
      model_type: 'gemma2',
      head_dim: 8,
      sliding_window: 16,
      hidden_activation: 'gelu_pytorch_tanh',
    }
    writeFileSync(config, JSON.stringify(windowed))
    const { stdout } = await run('kv', config, '--context', '64')
    expect(stdout).toContain('layers 0\n')
    expect(stdout).toContain('1 x 1 x 6 x 8 x 2 x 16 x 2 = 3,072 bytes')
    expect(stdout).toContain('1 x 1 x 6 x 8 x 2 x 64 x 2 = 12,288 bytes')
    expect(stdout).toContain('3,072 + 12,288 = 15,360 bytes\n15.4 kB = 15.0 KiB')
  })
})
