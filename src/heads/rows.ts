/**
 * What runs about heads compute, store and show: plain rows that the child of an execution sends, its parent stores and
 * the API reads. Heads, layers, prompts and positions count from 0.
 */

/**
 * The matrices of one head, in the field's names: W_Q, W_K, W_V and W_O; of MLA W_DKV, W_UK and W_UV in place of W_K and
 * W_V, and its absorbed forms W_Q W_UKᵀ and W_UV W_O. architecture/head-matrices has their sizes.
 */
export const projections = ['Q', 'K', 'V', 'O', 'DKV', 'UK', 'UV', 'QUK', 'UVO'] as const
export type Projection = (typeof projections)[number]
/** Those that lie in a checkpoint as they are; the others are products. */
export type StoredProjection = Exclude<Projection, 'QUK' | 'UVO'>

/**
 * Rows x columns of one stored matrix of a head. W_Q, W_K and W_V are [d_model, d_head] (rows are input dimensions),
 * W_O is [d_head, d_model]. A K, V or DKV matrix that several query heads read is one row.
 */
export interface WeightMatrixRow {
  layer: number
  projection: Projection
  /** the K/V head for K and V, 0 for DKV, else the query head */
  matrix: number
  /** query heads that read it, ascending */
  heads: number[]
  rows: number
  columns: number
  /** float32, little-endian, row-major [rows, columns] */
  values: Uint8Array
  minimum: number
  maximum: number
  mean: number
  standardDeviation: number
  /**
   * name of the tensor in the checkpoint, its shape, and which of its rows and columns these are; of a product both
   * tensors' names with ` x ` between them, and the product's own shape, rows and columns
   */
  tensor: string
  tensorShape: number[]
  tensorRows: number[]
  tensorColumns: number[]
  /** the tensor holds outputs as rows (a Linear layer): its rows are the slice's columns */
  transposed: boolean
  /** element type in the checkpoint; of a product that of its first factor */
  dtype: string
}

/** Which query heads of a layer have the same matrix, and how alike the whole matrices are: [H, H] by pair of query heads. */
export interface HeadSharingRow {
  layer: number
  projection: Projection
  /** query heads that share one matrix, ascending; those that share with nobody stand alone */
  groups: number[][]
  /** shared because they read the same K/V head; false: the groups are found by equal values alone */
  byConstruction: boolean
  maxDifference: number[][]
  cosine: number[][]
  cka: number[][]
}

export interface PromptToken {
  id: number
  text: string
  generated: boolean
}

/** One prompt of a run on attention maps, with the tokens generated after it. */
export interface AttentionPromptRow {
  prompt: number
  text: string
  tokens: PromptToken[]
}

export const storedDtypes = ['F32', 'F16'] as const
/** How attention maps are stored: F32 up to 128 tokens, F16 above. */
export type StoredDtype = (typeof storedDtypes)[number]

/** One attention map as a whole: its tiles are rows of their own. */
export interface AttentionHeadRow {
  prompt: number
  layer: number
  head: number
  /** null where keys and values are no head's own (MLA) */
  kvHead: number | null
  /** tokens: the map is [size, size] of queries and keys */
  size: number
  storedAs: StoredDtype
  /** mean Shannon entropy of the rows, in bits */
  entropy: number
  /** side of the overview, at most 64 */
  overviewSide: number
  /** bytes 255 sqrt(p), row-major [side, side], the greatest p of the cells that each covers */
  overview: Uint8Array
}

export const statistics = ['MEAN', 'MAXIMUM'] as const
export type TileStatistic = (typeof statistics)[number]

/** A tile of a map at a level: level 0 holds the map itself, each further level halves both sides. */
export interface AttentionTileRow {
  prompt: number
  layer: number
  head: number
  level: number
  row: number
  column: number
  /** of the 2^level x 2^level cells that a value stands for; level 0 is stored once, as MEAN */
  statistic: TileStatistic
  rows: number
  columns: number
  /** little-endian, row-major [rows, columns], in the map's stored dtype */
  data: Uint8Array
}

/** A batch of rows of one kind, as the child of an execution sends it. */
export type HeadRows =
  | { of: 'weightMatrices'; rows: WeightMatrixRow[] }
  | { of: 'headSharing'; rows: HeadSharingRow[] }
  | { of: 'attentionPrompts'; rows: AttentionPromptRow[] }
  | { of: 'attentionHeads'; rows: AttentionHeadRow[] }
  | { of: 'attentionTiles'; rows: AttentionTileRow[] }
  | { of: 'headDiversity'; rows: HeadDiversityRow[] }

/** How differently the heads of one layer look, over the prompts of a run: what `layer-diversity` gives, as plain JSON. */
export interface HeadDiversityRow {
  layer: number
  values: object
}
