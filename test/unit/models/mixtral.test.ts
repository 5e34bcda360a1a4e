import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { findPreset } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { convertKvHeads } from '../../../src/models/convert.ts'
import { findFamily } from '../../../src/models/registry.ts'
import { loadModel } from '../../../src/models/runner.ts'
import { openDrawn } from '../../../src/models/synthetic.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-mixtral-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

const raw = {
  ...findPreset('mixtral-8x7b').config,
  hidden_size: 24,
  intermediate_size: 20,
  num_attention_heads: 6,
  num_key_value_heads: 2,
  head_dim: 4,
  num_hidden_layers: 2,
  num_local_experts: 5,
  vocab_size: 40,
}
const find = (fields: object) => findFamily(readModelConfig({ ...raw, ...fields }, 'tiny'))

describe('mixtral', () => {
  it.each([
    [{ num_experts_per_tok: 6 }, 'num_experts_per_tok = 6: there are 5 experts'],
    [{ num_local_experts: null }, 'num_local_experts'],
    [{ num_local_experts: 20_000 }, 'num_local_experts = 20000'],
    [{ num_local_experts: 8.5 }, 'num_local_experts'],
    [{ attention_bias: true }, 'attention_bias'],
    [{ partial_rotary_factor: 0.5 }, 'partial_rotary_factor'],
    [{ layer_types: ['full_attention', 'full_attention'] }, 'layer_types'],
    [{ quantization_config: { bits: 4 } }, 'quantization_config'],
    [{ hidden_act: 'mish' }, 'mish'],
    [{ num_key_value_heads: 4 }, 'num_key_value_heads'],
  ])('is refused with %o by name', (fields, named) => {
    expect(() => find(fields)).toThrow(
      expect.objectContaining({ code: 'CONFIG_UNSUPPORTED', message: expect.stringContaining(named) }),
    )
  })

  it.each([
    { sliding_window: 4096 },
    { router_aux_loss_coef: 0.02, router_jitter_noise: 0.1, output_router_logits: true },
    { rope_theta: undefined, rope_parameters: { rope_type: 'default', rope_theta: 1e6 } },
    { num_experts_per_tok: 5 },
  ])('is taken with %o', (fields) => {
    expect(find(fields).family).toBe('mixtral')
  })

  it('runs with weights drawn from a seed, and with its K/V heads pooled', async () => {
    const opened = await openDrawn({ config: readModelConfig(raw, 'tiny'), seed: 3, layers: 2 }, dataDir)
    const pooled = await convertKvHeads(opened.checkpoint, opened.config, { kvHeads: 1, method: 'MEAN' }, dataDir)
    const logits: number[][] = []
    for (const { checkpoint, config } of [opened, pooled]) {
      const model = await loadModel(checkpoint, config, { provider: 'cpu', threads: 1 })
      const cache = model.createCache()
      await model.forward([[1, 2, 3, 4]], cache)
      logits.push([...(await model.forward([[5]], cache)).data])
      // 4 rows of K and V were fed to the last step, of 4 values of 4 bytes for each head and layer.
      expect(cache.measuredBytes()).toBe(4 * 2 * 2 * (config.attention[0]?.kvHeads ?? 0) * 4 * 4)
      await model.close()
    }
    const [whole = [], shared = []] = logits
    expect(whole).toHaveLength(40)
    expect(whole.every(Number.isFinite)).toBe(true)
    expect(shared).not.toEqual(whole)
  })
})
