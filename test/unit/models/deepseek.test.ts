import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { kvCacheBytes } from '../../../src/architecture/kv-bytes.ts'
import { findPreset } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { findFamily } from '../../../src/models/registry.ts'
import { loadModel } from '../../../src/models/runner.ts'

const presetConfig = (name: string) => readModelConfig(findPreset(name).config, name)
const golden = (name: string) => join(import.meta.dirname, '../../golden', name)

describe('DeepSeek', () => {
  it.each(['deepseek-v2-lite', 'deepseek-v2', 'deepseek-v3'])('can be run as %s says it', (name) => {
    expect(findFamily(presetConfig(name)).family).toBe(presetConfig(name).family)
  })

  it.each([
    ['deepseek-v2-lite', 'norm_topk_prob', true],
    ['deepseek-v2-lite', 'scoring_func', 'sigmoid'],
    ['deepseek-v2-lite', 'topk_method', 'noaux_tc'],
    ['deepseek-v2-lite', 'mlp_bias', true],
    ['deepseek-v2-lite', 'rope_interleave', false],
    ['deepseek-v3', 'scoring_func', 'softmax'],
    ['deepseek-v3', 'topk_method', 'greedy'],
    ['deepseek-v3', 'moe_layer_freq', 2],
    ['deepseek-v3', 'num_key_value_heads', 8],
    ['deepseek-v3', 'attention_bias', 'yes'],
    ['deepseek-v3', 'quantization_config', { quant_method: 'fp8' }],
    ['deepseek-v3', 'q_lora_rank', undefined],
    ['deepseek-v3', 'hidden_act', 'tanhshrink'],
    ['deepseek-v3', 'n_group', 7],
    ['deepseek-v3', 'num_experts_per_tok', 200],
  ])('%s is refused by name where %s is %j, which it does not compute', (name, field, value) => {
    const raw = { ...presetConfig(name).raw, [field]: value }
    expect(() => findFamily(readModelConfig(raw, name))).toThrow(
      expect.objectContaining({
        code: 'CONFIG_UNSUPPORTED',
        message: expect.stringContaining(field === 'hidden_act' ? 'tanhshrink' : field),
      }),
    )
  })

  it.each(['deepseek_v2/lite', 'deepseek_v3/grouped'])(
    'caches the latent and the rotary key of %s, one for all heads, and nothing else',
    async (name) => {
      const checkpoint = await openCheckpoint(golden(name))
      const config = readModelConfig(checkpoint.config, name)
      const model = await loadModel(checkpoint, config, { provider: 'cpu', threads: 1 })
      try {
        const cache = model.createCache(2)
        const tokens = [4, 8, 15, 16, 23]
        await model.forward([tokens, tokens.toReversed()], cache)
        await model.forward([[42], [1]], cache)
        const { rank = 0, ropeDim = 0 } = config.attention[0]?.latent ?? {}
        expect(cache.measuredBytes()).toBe(config.layers * 2 * tokens.length * (rank + ropeDim) * 4)
        expect(cache.measuredBytes()).toBe(
          kvCacheBytes(config, { contextLength: tokens.length, batch: 2, bitsPerValue: 32 }),
        )
        const { tensors } = cache.feeds()
        expect(Object.keys(tensors)).toEqual(config.attention.map((_, layer) => `past/layers.${layer}/latent`))
      } finally {
        await model.close()
      }
    },
  )
})
