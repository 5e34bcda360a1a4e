import { readMlaSizes } from '../architecture/deepseek-fields.ts'
import { readFields } from '../architecture/fields.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import type { StoredProjection } from '../heads/rows.ts'
import type { HeadMatrixPlace, Span } from './head-matrix-place.ts'

/**
 * Where MLA's matrices lie, as `DeepseekV2Attention` and `DeepseekV3Attention` of transformers cut them: heads are
 * neighbours along the rows of q_proj (or q_b_proj), kv_b_proj, whose rows are a head's key and then its value, and along
 * the columns of o_proj. All are Linear weights, [out, in].
 */
export function locateLatentMatrix(
  config: ModelConfig,
  layer: number,
  projection: StoredProjection,
  matrix: number,
): HeadMatrixPlace {
  const { heads, hiddenSize, raw } = config
  const { rank, rope, nope, value, queryRank } = readMlaSizes(readFields(raw))
  const path = `model.layers.${layer}.self_attn`
  const rowsOf = (tensor: string, outputs: number, inputs: number, rows: Span): HeadMatrixPlace => ({
    tensor: `${path}.${tensor}.weight`,
    tensorShape: [outputs, inputs],
    rows,
    columns: { start: 0, count: inputs },
    transposed: true,
  })
  const up = (start: number, count: number) =>
    rowsOf('kv_b_proj', heads * (nope + value), rank, { start: matrix * (nope + value) + start, count })
  switch (projection) {
    case 'Q': {
      const own = { start: matrix * (nope + rope), count: nope + rope }
      return queryRank === null
        ? rowsOf('q_proj', heads * (nope + rope), hiddenSize, own)
        : rowsOf('q_b_proj', heads * (nope + rope), queryRank, own)
    }
    case 'DKV':
      return rowsOf('kv_a_proj_with_mqa', rank + rope, hiddenSize, { start: 0, count: rank + rope })
    case 'UK':
      return up(0, nope)
    case 'UV':
      return up(nope, value)
    case 'O':
      return {
        tensor: `${path}.o_proj.weight`,
        tensorShape: [hiddenSize, heads * value],
        rows: { start: 0, count: hiddenSize },
        columns: { start: matrix * value, count: value },
        transposed: true,
      }
    default:
      throw new RangeError(`MLA has no W_${projection}`)
  }
}

/** The two matrices whose product an absorbed form is, [rows, inner] and [inner, columns]. */
export function absorbedFactors(
  config: ModelConfig,
  layer: number,
  projection: 'QUK' | 'UVO',
  matrix: number,
): [HeadMatrixPlace, HeadMatrixPlace] {
  const place = (of: StoredProjection) => locateLatentMatrix(config, layer, of, matrix)
  if (projection === 'UVO') return [place('UV'), place('O')]
  const { nope } = readMlaSizes(readFields(config.raw))
  const query = place('Q')
  // Rotary columns meet the rotary key and not the latent.
  return [
    { ...query, rows: { start: query.rows.start, count: nope } },
    { ...place('UK'), transposed: false },
  ]
}
