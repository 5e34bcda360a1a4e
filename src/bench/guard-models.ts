import { routedExperts } from '../architecture/active-parameters.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import { parameterCount } from '../architecture/parameters.ts'
import type { Warning } from '../stats/measured-series.ts'
import type { SubjectPlan } from './subject-config.ts'

const sizes = {
  family: ({ family }) => family,
  layers: ({ layers }) => layers,
  'hidden size': ({ hiddenSize }) => hiddenSize,
  'MLP width': ({ intermediateSize }) => intermediateSize,
  'experts a token': (config) => expertsBy(config),
  'query heads': ({ heads }) => heads,
  'head dim': ({ headDim }) => headDim,
  vocabulary: ({ vocabularySize }) => vocabularySize,
  positions: (config) => positionsBy(config),
  'output layer': ({ tiedEmbeddings }) => (tiedEmbeddings ? 'tied' : 'its own'),
} satisfies Record<string, (config: ModelConfig) => string | number>

/** MODELS_DIFFER: subjects that differ in more than their K/V heads, so that no difference of times is the heads' own. */
export function modelWarnings(subjects: readonly Pick<SubjectPlan, 'name' | 'config'>[]): Warning[] {
  const [first, ...others] = subjects
  if (first === undefined) return []
  for (const other of others) {
    const differences = Object.entries(sizes)
      .filter(([, read]) => read(first.config) !== read(other.config))
      .map(([what, read]) => `${what} ${read(first.config)} and ${read(other.config)}`)
    if (differences.length === 0) continue
    const parameters = [first, other].map(({ config }) => `${(parameterCount(config) / 1e6).toPrecision(3)} M`)
    return [
      {
        code: 'MODELS_DIFFER',
        message: `${first.name} and ${other.name} differ in more than their K/V heads: ${differences.join('; ')}; ${parameters.join(' and ')} parameters`,
        advice:
          'To see what shared K/V heads do, convert one model (convert: {kvHeads: ...}) and compare it with itself.',
      },
    ]
  }
  return []
}

function positionsBy({ raw, ropeTheta }: ModelConfig): string {
  if (raw.alibi === true) return 'ALiBi'
  return ropeTheta === null ? 'learned' : 'rotary'
}

function expertsBy(config: ModelConfig): string {
  const routed = routedExperts(config)
  return routed === null ? 'none' : `${routed.chosen} of ${routed.experts}`
}
