/** Which matrix of a head weights are. */
export type Projection = 'Q' | 'K' | 'V' | 'O' | 'DKV' | 'UK' | 'UV' | 'QUK' | 'UVO'

/** What a picture calls a head's matrix; MLA's absorbed forms are products. */
export function matrixName(projection: Projection): string {
  if (projection === 'QUK') return 'W_Q W_UKᵀ'
  return projection === 'UVO' ? 'W_UV W_O' : `W_${projection}`
}

/** What the rows and columns of a head's matrix are: [rows, columns]. */
export function matrixDimensions(projection: Projection): [string, string] {
  switch (projection) {
    case 'O':
      return ['d_head', 'd_model']
    case 'DKV':
      return ['d_model', 'latent']
    case 'UK':
    case 'UV':
      return ['latent', 'd_head']
    case 'QUK':
      // d_model, or the rank of compressed queries
      return ['query input', 'latent']
    case 'UVO':
      return ['latent', 'd_model']
    default:
      return ['d_model', 'd_head']
  }
}
