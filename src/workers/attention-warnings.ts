import { whyNoDiversity } from '../heads/layer-diversity.ts'
import type { AttentionMapsSpec } from '../jobs/spec.ts'
import { fewestForInterval } from '../stats/bootstrap.ts'
import type { Warning } from '../stats/measured-series.ts'

export interface WarnedMaps {
  name: string
  synthetic: boolean
  heads: number
  /** tokens of each prompt before anything is generated */
  lengths: readonly number[]
}

/** What a reader of the run's maps must know. */
export function warningsOf(spec: AttentionMapsSpec, { name, synthetic, heads, lengths }: WarnedMaps): Warning[] {
  const warnings: Warning[] = []
  if (synthetic) {
    warnings.push({
      code: 'SYNTHETIC_WEIGHTS',
      message: `${name}: random weights drawn from a seed, so these maps show nothing but chance`,
      advice: 'Look at a real checkpoint from a local folder to see where trained heads look.',
    })
  }
  if (!spec.diversity) return warnings
  const reason = whyNoDiversity(heads, lengths)
  if (reason !== null) {
    warnings.push({
      code: 'NO_DIVERSITY',
      message: `heads are not compared: ${reason}`,
      advice: heads < 2 ? 'Look at a model with several heads.' : 'Give longer prompts.',
    })
  } else if (lengths.length < fewestForInterval) {
    warnings.push({
      code: 'NO_INTERVAL',
      message: `diversity over ${lengths.length === 1 ? 'one prompt' : `${lengths.length} prompts`} carries no interval: prompts are what is resampled`,
      advice: `Give at least ${fewestForInterval} prompts, or none for kvscope's own.`,
    })
  }
  const [shortest, longest] = [Math.min(...lengths), Math.max(...lengths)]
  if (reason === null && longest > 4 * shortest) {
    warnings.push({
      code: 'UNEQUAL_PROMPTS',
      message: `prompts of ${shortest} to ${longest} tokens are averaged, and distances grow with length`,
      advice: 'Compare runs over the same prompts, or give prompts of similar length.',
    })
  }
  return warnings
}
