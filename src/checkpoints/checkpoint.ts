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

/** A tensor in a dtype that the engine does not read, such as a mask in BOOL or weights in F8_E4M3. */
export interface UnreadTensor {
  name: string
  dtype: string
  shape: number[]
  file: string
}

/** An opened checkpoint: its config and where its tensors lie. No weight has been read. */
export interface Checkpoint {
  /** absolute path, links resolved */
  directory: string
  config: Record<string, unknown>
  tensors: ReadonlyMap<string, TensorEntry>
  /** tensors of other dtypes, by name */
  unread?: ReadonlyMap<string, UnreadTensor>
  /** sha256 over config.json, every file's header and samples of every tensor (fingerprint.ts) */
  fingerprint: string
  synthetic: boolean
}
