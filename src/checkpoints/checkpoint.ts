/** Dtypes that safetensors spells and the engine can read. */
export type WeightDtype = 'F32' | 'F16' | 'BF16'

/** Where one tensor's bytes lie: row-major, little-endian, `length` bytes at `offset` of `file`. */
export interface TensorEntry {
  name: string
  dtype: WeightDtype
  shape: number[]
  /** absolute path, links resolved */
  file: string
  /** bytes from the start of the file, header included */
  offset: number
  length: number
}

/** An opened checkpoint: its config and where its tensors lie. No weight has been read. */
export interface Checkpoint {
  /** absolute path, links resolved */
  directory: string
  config: Record<string, unknown>
  tensors: ReadonlyMap<string, TensorEntry>
  /** sha256 over config.json and every file's header and length: two checkpoints that differ in layout differ here */
  fingerprint: string
  synthetic: boolean
}
