import { describe, expect, it } from 'vitest'
import { activeParameterCount, routedExperts, routedWidth } from '../../../src/architecture/active-parameters.ts'
import { expectedTensors } from '../../../src/architecture/expected-tensors.ts'
import { parameterCount } from '../../../src/architecture/parameters.ts'
import { findPreset, presets } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'

const configOf = (name: string) => readModelConfig(findPreset(name).config, name)

/** Parameter counts that the hub's model pages and papers give; null: no public figure is known to us. */
const publicCounts: Record<string, number | null> = {
  gpt2: 124_439_808,
  'gpt2-medium': 354_823_168,
  'gpt2-medium-4k': 354_823_168 + 3072 * 1024, // 3,072 more positions
  'gpt2-xl': 1_557_611_200,
  'gpt-neo-125m': 125_198_592, // "125M" on the hub
  'gpt3-175b': null, // "175 billion" in Brown et al. 2020
  'falcon-rw-1b': 1_311_625_216,
  'falcon-7b': 6_921_720_704,
  'falcon-40b': 41_303_293_952,
  'falcon-11b': null, // "11B"
  'falcon-rw-small': 50_304 * 768 + 12 * 7_087_872 + 1536, // gpt2's layers
  'falcon-7b-small': 65_024 * 768 + 12 * (1536 + 14 * 64 * 768 + 768 * 768 + 8 * 768 * 768) + 1536,
  'falcon-40b-small': 65_024 * 768 + 12 * (3072 + 20 * 64 * 768 + 768 * 768 + 8 * 768 * 768) + 1536,
  'pythia-14m': 14_067_712,
  starcoder: 15_517_456_384,
  santacoder: null, // "1.1 billion"
  'tiny-starcoder-py': 164_144_128, // "164M" on the hub
  'llama-2-7b': 6_738_415_616,
  'llama-3.1-8b': 8_030_261_248,
  'llama-3.1-70b': 70_553_706_496,
  'mistral-7b': 7_241_732_096,
  'mixtral-8x7b': 46_702_792_704,
  'mixtral-small': 2 * 32_000 * 768 + 6 * (2 * 768 * 768 + 2 * 256 * 768 + 8 * (768 + 3 * 768 * 2688) + 2 * 768) + 768,
  'qwen2.5-0.5b': 494_032_768,
  'qwen3-0.6b': 596_049_920,
  'gemma-2b': 2_506_172_416,
  'gemma-2-2b': 2_614_341_888,
  'gemma-3-1b': 999_885_952,
  'smollm2-135m': 134_515_008,
  'phi-2': 2_779_683_840,
  'phi-3-mini-4k': 3_821_079_552,
  'olmo-2-1b': 1_484_916_736,
  'deepseek-v2-lite': 15_706_484_224,
  'deepseek-v2': 235_741_434_880,
  'deepseek-v3': 671_026_419_200, // the main model, without the multi-token prediction module
}

describe('parameterCount', () => {
  it.each(presets.map(({ name }) => [name]))('counts %s as the public figure does', (name) => {
    const count = parameterCount(configOf(name))
    const known = publicCounts[name]
    expect(known).toBeDefined()
    if (known === null) expect(count).toBeGreaterThan(1e9)
    else expect(count).toBe(known)
  })

  it('comes within half a percent of the 175 billion of GPT-3', () => {
    expect(parameterCount(configOf('gpt3-175b')) / 175e9).toBeCloseTo(1, 2)
  })

  it.each([
    ['mixtral-8x7b', 12.9], // Jiang et al. 2024, table 1: 13 B
    ['deepseek-v2-lite', 2.66], // with both tables of 102,400 tokens; "2.4B" on its page leaves one of them out
    ['deepseek-v2', 21.4], // "21B"
    ['deepseek-v3', 37.6], // "37B" likewise
  ])('counts of the experts of %s those that a token goes through: %d billion', (name, billions) => {
    expect(activeParameterCount(configOf(name)) / 1e9).toBeCloseTo(billions, 1)
  })

  it('holds twice in a step what a token takes to its two experts', () => {
    expect(routedWidth(configOf('mixtral-8x7b'))).toBe(2 * (4 * 4096 + 2 * 14_336))
    expect(routedExperts(configOf('deepseek-v3'))).toEqual({ experts: 256, chosen: 8 })
    expect(routedWidth(configOf('llama-3.1-8b'))).toBe(0)
    expect(routedExperts(configOf('llama-3.1-8b'))).toBeNull()
  })

  it('counts every parameter of a model without experts as active', () => {
    expect(activeParameterCount(configOf('llama-3.1-8b'))).toBe(parameterCount(configOf('llama-3.1-8b')))
  })

  it('names no tensor twice, whatever the family', () => {
    for (const { name } of presets) {
      const names = expectedTensors(configOf(name)).map((tensor) => tensor.name)
      expect(new Set(names).size).toBe(names.length)
    }
  })

  it('refuses sizes that multiply beyond what a number holds', () => {
    const size = 2 ** 24
    const huge = { model_type: 'gpt2', n_layer: 1024, n_head: 1, n_embd: size, vocab_size: size, n_positions: size }
    expect(() => parameterCount(readModelConfig(huge, 'huge'))).toThrow(/make .* parameters/)
  })
})
