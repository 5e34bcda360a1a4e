import type { HeadOrder } from '../architecture/fused-blocks.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import { AppError } from '../errors.ts'

/**
 * Where one layer keeps its projections. Heads are blocks of head dim along the output axis of `Q`, `K` and `V`, and
 * along the input axis of `output`.
 */
export interface ProjectionLayout {
  /** [out, in] is a Linear layer's weight; [in, out] that of GPT-2's Conv1D */
  axes: 'out,in' | 'in,out'
  /** the tensors; one and the same name where they are fused */
  Q: string
  K: string
  V: string
  output: string
  /** how heads follow one another in the tensor */
  order: HeadOrder
}

function fused(
  axes: ProjectionLayout['axes'],
  order: ProjectionLayout['order'],
  qkv: string,
  output: string,
): ProjectionLayout {
  return { axes, order, Q: `${qkv}.weight`, K: `${qkv}.weight`, V: `${qkv}.weight`, output: `${output}.weight` }
}

/**
 * How a family lays out its projections, from its config alone; families that cannot be run are known as well.
 * The orders are those of transformers' own splits: `GPT2Attention.forward`, `GPTBigCodeAttention.forward`,
 * `FalconAttention._split_heads`, `GPTNeoXAttention.forward`, `LlamaAttention.forward`.
 * @throws AppError CONFIG_UNSUPPORTED for MLA, whose heads have no K and V of their own in the checkpoint
 */
export function projectionLayout(
  { family, name }: Pick<ModelConfig, 'family' | 'name'>,
  layer: number,
): ProjectionLayout {
  switch (family) {
    case 'gpt2':
      return fused('in,out', 'byPart', `h.${layer}.attn.c_attn`, `h.${layer}.attn.c_proj`)
    case 'gpt_bigcode':
      return fused('out,in', 'byGroup', `h.${layer}.attn.c_attn`, `h.${layer}.attn.c_proj`)
    case 'falcon': {
      const path = `h.${layer}.self_attention`
      return fused('out,in', 'byGroup', `${path}.query_key_value`, `${path}.dense`)
    }
    case 'gpt_neox': {
      const path = `gpt_neox.layers.${layer}.attention`
      return fused('out,in', 'byGroup', `${path}.query_key_value`, `${path}.dense`)
    }
    case 'llama':
    case 'mistral':
    case 'mixtral':
    case 'qwen2':
    case 'starcoder2':
    case 'qwen3':
    case 'gemma':
    case 'gemma2':
    case 'gemma3':
    case 'olmo2': {
      const path = `model.layers.${layer}.self_attn`
      const weight = (part: string) => `${path}.${part}_proj.weight`
      return { axes: 'out,in', order: 'apart', Q: weight('q'), K: weight('k'), V: weight('v'), output: weight('o') }
    }
    case 'phi': {
      const path = `model.layers.${layer}.self_attn`
      const weight = (part: string) => `${path}.${part}_proj.weight`
      const output = `${path}.dense.weight`
      return { axes: 'out,in', order: 'apart', Q: weight('q'), K: weight('k'), V: weight('v'), output }
    }
    case 'phi3': {
      const path = `model.layers.${layer}.self_attn`
      return fused('out,in', 'byPart', `${path}.qkv_proj`, `${path}.o_proj`)
    }
    case 'gpt_neo': {
      const path = `h.${layer}.attn.attention`
      const weight = (part: string) => `${path}.${part}_proj.weight`
      return { axes: 'out,in', order: 'apart', Q: weight('q'), K: weight('k'), V: weight('v'), output: weight('out') }
    }
    case 'deepseek_v2':
    case 'deepseek_v3':
      throw new AppError(
        'CONFIG_UNSUPPORTED',
        `${name} has MLA: its heads' K and V are made from a latent, and no head has a matrix of its own in the checkpoint`,
        'Look at a model with MHA, GQA or MQA.',
      )
  }
}
