import { AppError } from '../errors.ts'
import type { Preset } from './preset.ts'
import { deepSeekPresets } from './presets-deepseek.ts'
import { fusedPresets } from './presets-fused.ts'
import { gemmaPresets } from './presets-gemma.ts'
import { gpt2Presets } from './presets-gpt2.ts'
import { llamaPresets } from './presets-llama.ts'
import { phiPresets } from './presets-phi.ts'

export const presets: readonly Preset[] = [
  ...gpt2Presets,
  ...fusedPresets,
  ...llamaPresets,
  ...phiPresets,
  ...gemmaPresets,
  ...deepSeekPresets,
]

/** @throws AppError NOT_FOUND listing the names there are */
export function findPreset(name: string): Preset {
  const found = presets.find((preset) => preset.name === name)
  if (found) return found
  const names = presets.map((preset) => preset.name).join(', ')
  throw new AppError('NOT_FOUND', `no preset is named ${JSON.stringify(name)}`, `There are ${names}.`)
}
