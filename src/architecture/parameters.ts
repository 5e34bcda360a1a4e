import { AppError } from '../errors.ts'
import { expectedTensors } from './expected-tensors.ts'
import type { ModelConfig } from './model-config.ts'

/** The parts of a decoder, in the order in which a token meets them. */
const partNames = [
  'embeddings',
  'attention',
  'MLP',
  'router',
  'experts',
  'shared experts',
  'norms',
  'output head',
] as const
export type PartName = (typeof partNames)[number]

export interface ParameterPart {
  name: PartName
  /** values of all its tensors, biases among them */
  parameters: number
  tensors: number
}

/** The first pattern that fits a tensor's name says its part: norms of attention before attention, experts before MLP. */
const partPatterns: readonly (readonly [RegExp, PartName])[] = [
  [/(^|\.)(wte|wpe|word_embeddings|embed_tokens|embed_in)\./, 'embeddings'],
  [/(^|\.)(lm_head|embed_out)\./, 'output head'],
  [/(^|\.)(ln_\w+|\w*norm\w*)\.(weight|bias)$/, 'norms'],
  [/\.shared_experts?\./, 'shared experts'],
  [/\.experts\./, 'experts'],
  [/\.(gate|router)\.(weight|bias|e_score_correction_bias)$/, 'router'],
  [/attn\b|attention/, 'attention'],
]

/** The part of the model that a tensor belongs to, by its name on the hub. */
function partOf(tensor: string): PartName {
  return partPatterns.find(([pattern]) => pattern.test(tensor))?.[1] ?? 'MLP'
}

/** Parameters by part, a tied head counted as the embeddings it is; parts that the model does not have are left out. */
export function parametersByPart(config: ModelConfig): ParameterPart[] {
  const counts = new Map<PartName, ParameterPart>()
  for (const { name, shape } of expectedTensors(config)) {
    const part = partOf(name)
    const { parameters, tensors } = counts.get(part) ?? { parameters: 0, tensors: 0 }
    const values = shape.reduce((product, size) => product * size, 1)
    counts.set(part, { name: part, parameters: parameters + values, tensors: tensors + 1 })
  }
  return partNames.flatMap((name) => counts.get(name) ?? [])
}

/**
 * Number of parameters: the values of every expected tensor, a tied head counted once.
 * @throws AppError CONFIG_UNSUPPORTED where the sizes of the config multiply beyond 2^53
 */
export function parameterCount(config: ModelConfig): number {
  return sumOfParts(config, parametersByPart(config))
}

/** @throws AppError CONFIG_UNSUPPORTED where the parts add up beyond 2^53 */
export function sumOfParts(config: Pick<ModelConfig, 'name'>, parts: readonly ParameterPart[]): number {
  const total = parts.reduce((sum, part) => sum + part.parameters, 0)
  if (Number.isSafeInteger(total)) return total
  throw new AppError(
    'CONFIG_UNSUPPORTED',
    `the sizes of ${config.name} make ${total} parameters`,
    'Mend its config.json.',
  )
}
