import type { ModelFamily } from './family.ts'
import { type Fields, readFields, unsupported } from './fields.ts'
import { llamaShared, llamaTensors, readLlamaLike } from './llama-layout.ts'
import type { ExpectedTensor, ModelConfig, RoutedExperts } from './model-config.ts'
import { requireListable, routedTo } from './routed-experts.ts'
import { indices, matrix } from './tensor-list.ts'
import { withWindows } from './windows.ts'

/**
 * Mixtral (Jiang et al. 2024): Mistral with experts in place of each MLP, eight of which a token goes through two. A window
 * may be set for all layers; the released models have none.
 */
export const mixtral: ModelFamily = {
  ...llamaShared,
  family: 'mixtral',
  runnable: true,
  modelTypes: ['mixtral'],
  read(fields, name) {
    readMixtralExperts(fields)
    const config = readLlamaLike(fields, name, 'mixtral')
    return { ...config, attention: withWindows(config.attention, fields, () => true) }
  },
  tensors: mixtralTensors,
}

/** @throws AppError CONFIG_UNSUPPORTED where more experts are chosen than there are */
export function readMixtralExperts(fields: Fields): RoutedExperts {
  const experts = fields.size('num_local_experts')
  const chosen = fields.size('num_experts_per_tok')
  requireListable('num_local_experts', experts, fields.layers('num_hidden_layers'))
  if (chosen > experts) unsupported('num_experts_per_tok', chosen, `there are ${experts} experts`)
  return { experts, chosen }
}

const denseMlp = /^(.*)\.mlp\.(gate|up|down)_proj\.weight$/

/** Llama's tensors with the router and the experts where a layer's MLP begins; an expert's w1 is its gate, w3 its up. */
function mixtralTensors(config: ModelConfig): ExpectedTensor[] {
  return llamaTensors(config, { qkv: false, output: false, mlp: false }).flatMap((tensor) => {
    const [, layer, part] = denseMlp.exec(tensor.name) ?? []
    if (layer === undefined) return tensor
    return part === 'gate' ? expertTensors(config, `${layer}.block_sparse_moe`) : []
  })
}

function expertTensors({ hiddenSize: hidden, intermediateSize: inner, raw }: ModelConfig, path: string) {
  const routed = readMixtralExperts(readFields(raw))
  const expert = (index: number) => [
    matrix(`${path}.experts.${index}.w1`, [inner, hidden]),
    matrix(`${path}.experts.${index}.w2`, [hidden, inner]),
    matrix(`${path}.experts.${index}.w3`, [inner, hidden]),
  ]
  return [
    matrix(`${path}.gate`, [routed.experts, hidden]),
    ...routedTo(indices(routed.experts).flatMap(expert), routed),
  ]
}
