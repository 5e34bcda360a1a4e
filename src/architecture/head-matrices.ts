import { AppError } from '../errors.ts'
import type { Projection } from '../heads/rows.ts'
import { readMlaSizes } from './deepseek-fields.ts'
import { readFields } from './fields.ts'
import type { ModelConfig } from './model-config.ts'

/** The matrices of one projection of a layer: how many there are, and what each is, [rows, columns]. */
export interface HeadMatrices {
  /** one a query head, one a K/V head, or one that every head reads */
  count: number
  rows: number
  columns: number
}

/**
 * Sizes of a layer's matrices W_Q, W_K, W_V and W_O, or of those that MLA has (DeepSeek-AI 2024, DeepSeek-V2, section 2.1):
 *
 *   Q     [d_model, nope + rope] a head; where queries are compressed W_UQ with W_QR, [q_lora_rank, nope + rope]
 *   DKV   W_DKV and, in its last columns, W_KR: [d_model, rank + rope], one for all heads
 *   UK    [rank, nope] a head: makes its keys of the latent
 *   UV    [rank, value] a head
 *   O     [value, d_model] a head
 *   QUK   W_Q W_UKᵀ without the rotary columns, [d_model or q_lora_rank, rank]: the absorbed form of scores
 *   UVO   W_UV W_O, [rank, d_model]: the absorbed form of values
 * @throws AppError CONFIG_UNSUPPORTED for a projection that the layer's kind of attention does not have
 * @throws RangeError where the layer is not there
 */
export function headMatrices(config: ModelConfig, layer: number, projection: Projection): HeadMatrices {
  const shape = config.attention[layer]
  if (shape === undefined) throw new RangeError(`${config.name} has no layer ${layer} with heads`)
  const { heads, hiddenSize } = config
  if (shape.latent !== null) return latentMatrices(config, projection)
  const kvHeads = shape.kvHeads ?? heads
  switch (projection) {
    case 'Q':
      return { count: heads, rows: hiddenSize, columns: shape.keyDim }
    case 'K':
      return { count: kvHeads, rows: hiddenSize, columns: shape.keyDim }
    case 'V':
      return { count: kvHeads, rows: hiddenSize, columns: shape.valueDim }
    case 'O':
      return { count: heads, rows: shape.valueDim, columns: hiddenSize }
    default:
      throw new AppError(
        'CONFIG_UNSUPPORTED',
        `${config.name} has no W_${projection} in layer ${layer}: its keys and values are not made of a latent`,
        'Ask for Q, K, V or O; DKV, UK, UV, QUK and UVO are those of MLA.',
      )
  }
}

function latentMatrices({ name, heads, hiddenSize, raw }: ModelConfig, projection: Projection): HeadMatrices {
  const { rank, rope, nope, value, queryRank } = readMlaSizes(readFields(raw))
  const queried = queryRank ?? hiddenSize
  switch (projection) {
    case 'Q':
      return { count: heads, rows: queried, columns: nope + rope }
    case 'DKV':
      return { count: 1, rows: hiddenSize, columns: rank + rope }
    case 'UK':
      return { count: heads, rows: rank, columns: nope }
    case 'UV':
      return { count: heads, rows: rank, columns: value }
    case 'O':
      return { count: heads, rows: value, columns: hiddenSize }
    case 'QUK':
      return { count: heads, rows: queried, columns: rank }
    case 'UVO':
      return { count: heads, rows: rank, columns: hiddenSize }
    default:
      throw new AppError(
        'CONFIG_UNSUPPORTED',
        `${name} has MLA: its heads' K and V are made from a latent, and no head has a matrix W_${projection} of its own in the checkpoint`,
        'Ask for DKV (which makes the latent), UK and UV (which make keys and values of it), or QUK and UVO (the absorbed forms).',
      )
  }
}
