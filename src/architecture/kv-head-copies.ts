import { createHash } from 'node:crypto'
import { AppError } from '../errors.ts'
import { kindOf } from './attention-shape.ts'
import { familyOf } from './families.ts'
import { blockOf } from './fused-blocks.ts'
import type { AttentionKind, ModelConfig } from './model-config.ts'

/** Where the bytes of weights come from: a folder's files, or a hub's by ranges. */
export interface WeightBytes {
  /** the tensor as its header states it; null where there is none */
  find(name: string): { shape: readonly number[]; byteLength: number } | null
  /** bytes `start` to `start + length` of a tensor's data */
  read(name: string, start: number, length: number): Promise<Uint8Array>
}

/** What the values of K and V say: which of the stored K/V heads are copies of each other, bit for bit. */
export interface KvHeadCopies {
  /** looked at, ascending; all of them say the same */
  layers: number[]
  /** K/V heads as the weights store them */
  stored: number
  /** K/V heads that differ in K or V; below `stored` only where every one is stored equally often, its copies side by side */
  distinct: number
  kind: AttentionKind
  evidence: string
}

/**
 * Compares the K/V heads of one layer by value, biases among them. A GQA stored as MHA (as by tools that repeat K/V heads
 * for query heads, or for the devices of a tensor-parallel group) has runs of equal heads.
 * @param config with the K/V heads of the weights
 * @param layers the first is looked at; the others only where its heads are copies
 * @returns null for MLA, and where the layer's tensors are not there
 */
export async function findKvHeadCopies(
  config: ModelConfig,
  weights: WeightBytes,
  layers: readonly number[] = [0],
): Promise<KvHeadCopies | null> {
  const seen: number[] = []
  let found: { stored: number; groups: number[][] } | null = null
  for (const layer of layers) {
    const groups = await equalHeads(config, weights, layer)
    const stored = config.attention[layer]?.kvHeads
    if (groups === null || stored == null) break
    if (found !== null && JSON.stringify(groups) !== JSON.stringify(found.groups)) {
      return toCopies(config, { stored, groups: found.groups }, seen, layer)
    }
    found = { stored, groups }
    seen.push(layer)
    if (groups.length === stored) break
  }
  return found && toCopies(config, found, seen, null)
}

function toCopies(
  { heads }: ModelConfig,
  { stored, groups }: { stored: number; groups: readonly number[][] },
  layers: number[],
  unlike: number | null,
): KvHeadCopies {
  const size = stored / groups.length
  const sideBySide = groups.every((group, index) =>
    group.every((head, place) => group.length === size && head === index * size + place),
  )
  const where = layers.length > 1 ? `each of layers ${layers[0]} to ${layers.at(-1)}` : `layer ${layers[0]}`
  const differs = unlike === null ? '' : `, but not of layer ${unlike}`
  const repeated = groups.find((group) => group.length > 1)
  const alike = stored === 1 ? 'one K/V head' : `${stored} K/V heads, no two alike`
  // Copies in one layer alone, or of some heads alone, do not make a model with fewer K/V heads.
  const distinct = sideBySide && unlike === null ? groups.length : stored
  const evidence = !repeated
    ? `${where} stores ${alike}`
    : sideBySide
      ? `${where} stores ${stored} K/V heads, of which ${groups.length} differ, each ${size} times${differs}`
      : `${where} stores ${stored} K/V heads, of which ${groups.length} differ; heads ${repeated.join(', ')} are equal${differs}`
  return { layers, stored, distinct, kind: kindOf(heads, distinct), evidence }
}

/** K/V heads of a layer that are equal in K and in V, in the order of their first; null where K and V cannot be seen. */
async function equalHeads(config: ModelConfig, from: WeightBytes, layer: number): Promise<number[][] | null> {
  const weights = keepingWhole(from)
  const kvHeads = config.attention[layer]?.kvHeads
  const key = familyOf(config).keyTensor(layer)
  if (kvHeads == null || key.holds === 'LATENT') return null
  const order = key.holds === 'K' ? 'apart' : key.grouped ? 'byGroup' : 'byPart'
  const names = { K: key.name, V: key.holds === 'K' ? key.name.replace('k_proj', 'v_proj') : key.name }
  if (key.holds === 'K' && names.V === names.K) return null

  const digests: string[] = []
  for (let head = 0; head < kvHeads; head += 1) {
    const digest = createHash('sha256')
    for (const projection of ['K', 'V'] as const) {
      const block = blockOf(order, { projection, head }, { heads: config.heads, kvHeads })
      const name = names[projection]
      const matrix = await readBlock(weights, name, { axis: key.axis, whole: order === 'apart' }, block, config.headDim)
      if (matrix === null) return null
      digest.update(matrix)
      const bias = await readBlock(
        weights,
        name.replace(/weight$/, 'bias'),
        { axis: 0, whole: true },
        block,
        config.headDim,
      )
      if (bias !== null) digest.update(bias)
    }
    digests.push(digest.digest('hex'))
  }
  const groups = new Map<string, number[]>()
  for (const [head, digest] of digests.entries()) groups.set(digest, [...(groups.get(digest) ?? []), head])
  return [...groups.values()]
}

/**
 * The bytes of one head's rows, or of its columns; null where the tensor is not there or its values are below a byte.
 * @param whole whether other heads take the rest of the tensor: it is read at once then
 */
async function readBlock(
  weights: WeightBytes,
  name: string,
  { axis, whole }: { axis: 0 | 1; whole: boolean },
  block: number,
  headDim: number,
): Promise<Uint8Array | null> {
  const tensor = weights.find(name)
  if (tensor === null) return null
  const [rows = 0, columns = 1] = tensor.shape
  const width = tensor.byteLength / (rows * columns)
  if (!Number.isInteger(width)) return null
  if (([rows, columns][axis] ?? 0) < (block + 1) * headDim) {
    throw new AppError(
      'CHECKPOINT_INVALID',
      `${name} is [${tensor.shape.join(', ')}], and head block ${block} of ${headDim} lies beyond it`,
      'Check that weights and config.json belong together.',
    )
  }
  const length = headDim * width
  const start = block * length * (axis === 0 ? columns : 1)
  if (axis === 0 && !whole) return weights.read(name, start, length * columns)
  const all = await weights.read(name, 0, tensor.byteLength)
  if (axis === 0) return all.subarray(start, start + length * columns)
  const part = new Uint8Array(rows * length)
  for (let row = 0; row < rows; row += 1) {
    const at = row * columns * width + start
    part.set(all.subarray(at, at + length), row * length)
  }
  return part
}

/** Reads every tensor once that is read whole: a head's columns lie in all rows of it. */
function keepingWhole(weights: WeightBytes): WeightBytes {
  const kept = new Map<string, Promise<Uint8Array>>()
  return {
    find: (name) => weights.find(name),
    read(name, start, length) {
      if (start !== 0 || length !== weights.find(name)?.byteLength) return weights.read(name, start, length)
      const whole = kept.get(name) ?? weights.read(name, start, length)
      kept.set(name, whole)
      return whole
    },
  }
}
