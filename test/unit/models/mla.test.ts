import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type AttendLatent, attendLatent } from '../../../src/models/mla.ts'
import { openSynthetic } from '../../../src/models/synthetic.ts'
import { multiply } from '../../../src/onnx/ops.ts'
import { computeBatch, largestDifference } from '../../support/golden.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-mla-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

/** DeepSeek-V3's own latent and heads, with few of them, and weights wide enough that attention is not flat. */
const overrides = {
  first_k_dense_replace: 2,
  hidden_size: 96,
  initializer_range: 0.12,
  intermediate_size: 64,
  max_position_embeddings: 512,
  num_attention_heads: 3,
  num_hidden_layers: 2,
  num_key_value_heads: 3,
  q_lora_rank: 160,
  vocab_size: 97,
}
const tokens = Array.from({ length: 90 }, (_, index) => (index * index * 7 + 13 * index + 5) % 97)

async function logitsOf(pieces: readonly number[], attend?: AttendLatent): Promise<Float32Array> {
  const { checkpoint, config } = await openSynthetic({ preset: 'deepseek-v3', seed: 3, overrides }, dataDir)
  const [computed] = await computeBatch(checkpoint, config, [tokens], { pieces, attendLatent: attend })
  if (!computed) throw new Error('nothing was computed')
  return computed.logits
}

const share = (a: Float32Array, b: Float32Array) => largestDifference(a, b) / Math.max(...b.map(Math.abs))

describe('attention over latents of 512 + 64 values', () => {
  it('is the same absorbed and decompressed: a prompt in one piece, in chunks and token by token', async () => {
    const whole = await logitsOf([tokens.length])
    expect(share(await logitsOf([32, 32, 26]), whole)).toBeLessThan(1e-5)
    expect(share(await logitsOf(Array<number>(tokens.length).fill(1)), whole)).toBeLessThan(1e-5)
  })

  it('differs where cached rows are met as other than they are, which a prompt in one piece never shows', async () => {
    const wrong: AttendLatent = (g, spec, inputs, step) =>
      attendLatent(g, spec, { ...inputs, cached: multiply(g.at('wrong'), inputs.cached, g.floats([1.01])) }, step)
    const whole = await logitsOf([tokens.length])
    expect(share(await logitsOf([tokens.length], wrong), whole)).toBeLessThan(1e-5)
    expect(share(await logitsOf([45, 45], wrong), whole)).toBeGreaterThan(1e-4)
  })
})
