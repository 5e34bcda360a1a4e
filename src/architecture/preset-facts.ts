import { describeModel, type ModelFacts } from './model-facts.ts'
import { presets } from './presets.ts'
import { readModelConfig } from './read-config.ts'

export interface DescribedPreset {
  name: string
  facts: ModelFacts
}

let described: readonly DescribedPreset[] | null = null

/** Every preset with what its model is. Presets never change, and DeepSeek's 45,000 tensors take 0.1 s to count. */
export function describePresets(): readonly DescribedPreset[] {
  described ??= presets.map(({ name, config }) => ({ name, facts: describeModel(readModelConfig(config, name), null) }))
  return described
}
