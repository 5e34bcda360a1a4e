import { createHash } from 'node:crypto'
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import canonicalize from 'canonicalize'
import { expectedTensors } from '../architecture/expected-tensors.ts'
import type { ExpectedTensor, ModelConfig } from '../architecture/model-config.ts'
import { overridePreset } from '../architecture/preset-config.ts'
import type { Checkpoint } from '../checkpoints/checkpoint.ts'
import { openCheckpoint, syntheticKey } from '../checkpoints/open.ts'
import { removeAbandoned, writeBeside } from '../checkpoints/write-beside.ts'
import { type TensorToWrite, writeSafetensors } from '../checkpoints/write-safetensors.ts'
import { AppError } from '../errors.ts'
import { fillNormal, normalGenerator } from './normal.ts'
import { findFamily } from './registry.ts'

export interface SyntheticSource {
  preset: string
  seed: number
  /** fields of the preset's config.json to replace */
  overrides: Readonly<Record<string, unknown>> | null
}

export interface OpenedModel {
  checkpoint: Checkpoint
  config: ModelConfig
}

/** The folder below the data folder that synthetic weights and conversions are kept in. */
export const weightsFolder = (dataDir: string): string => join(dataDir, 'weights')

/** The folder of a preset's weights from a seed, whether they have been written yet or not. */
export function syntheticFolder({ preset, seed, overrides }: SyntheticSource, dataDir: string): string {
  const { config } = overridePreset(preset, overrides)
  return drawnFolder({ config, seed, layers: config.layers }, dataDir)
}

/** Weights as a model's initialiser draws them. */
export interface DrawnWeights {
  config: ModelConfig
  seed: number
  /** how many layers have weights, from the first */
  layers: number
}

function drawnFolder({ config, seed, layers }: DrawnWeights, dataDir: string): string {
  const part = layers === config.layers ? null : layers
  // A local model is named by its folder, and that may be as long as a name can be.
  const readable = config.name.replace(/[^\w.-]+/g, '_').slice(0, 100)
  const name = `${readable}-seed${seed}${part === null ? '' : `-layers${part}`}`
  return join(weightsFolder(dataDir), `${name}-${identify(config.raw, seed, part)}`)
}

/**
 * Opens the synthetic checkpoint of a preset and a seed, written first where it is not there yet. Its folder is named
 * by what it holds, so whoever asks for the same weights finds them. A process killed while writing leaves no file
 * under the name that is opened; two that write at once write the same bytes, and the last one's stay.
 * @param onProgress told the share of the bytes written, 0 to 1; never called where nothing is written
 * @throws AppError NOT_FOUND, VALIDATION_FAILED, CONFIG_UNSUPPORTED, OUT_OF_DISK
 */
export async function openSynthetic(
  { preset, seed, overrides }: SyntheticSource,
  dataDir: string,
  onProgress?: (fraction: number) => void,
): Promise<OpenedModel> {
  const { config } = overridePreset(preset, overrides)
  return openDrawn({ config, seed, layers: config.layers }, dataDir, onProgress)
}

/**
 * The same for any model's config: its architecture with random weights. Where only the first layers are to be run, only
 * theirs are written.
 * @throws AppError CONFIG_UNSUPPORTED, OUT_OF_DISK
 */
export async function openDrawn(
  weights: DrawnWeights,
  dataDir: string,
  onProgress?: (fraction: number) => void,
): Promise<OpenedModel> {
  const { config } = weights
  findFamily(config) // refuses what the engine cannot run before gigabytes are written

  const directory = drawnFolder(weights, dataDir)
  const file = join(directory, 'model.safetensors')
  if (await exists(file)) await removeAbandoned(file)
  else await write(directory, file, weights, onProgress)
  try {
    return { checkpoint: await openCheckpoint(directory), config }
  } catch (error) {
    // Our own file and yet damaged, by a full disk or a power cut: it can be made again.
    if (!(error instanceof AppError) || error.code !== 'CHECKPOINT_INVALID') throw error
    await rm(file, { force: true })
    await write(directory, file, weights, onProgress)
    return { checkpoint: await openCheckpoint(directory), config }
  }
}

/** Bytes of the file that `openDrawn` writes. */
export function drawnBytes({ config, layers }: Omit<DrawnWeights, 'seed'>): number {
  return expectedTensors({ ...config, layers }).reduce(
    (sum, { shape }) => sum + shape.reduce((product, size) => product * size, Float32Array.BYTES_PER_ELEMENT),
    0,
  )
}

/** Twelve hexadecimal digits over all that decides the bytes. */
function identify(raw: Record<string, unknown>, seed: number, layers: number | null): string {
  const part = layers === null ? {} : { layers }
  const identity = canonicalize({ config: raw, seed, generator: normalGenerator, ...part }) ?? ''
  return createHash('sha256').update(identity).digest('hex').slice(0, 12)
}

const exists = (file: string) =>
  stat(file).then(
    () => true,
    () => false,
  )

async function write(
  directory: string,
  file: string,
  { config, seed, layers }: DrawnWeights,
  onProgress?: (fraction: number) => void,
): Promise<void> {
  await mkdir(directory, { recursive: true })
  await writeBeside(join(directory, 'config.json'), async (handle) => {
    await handle.writeFile(`${JSON.stringify(config.raw, null, 2)}\n`)
  })
  const tensors = expectedTensors({ ...config, layers }).map((tensor) => drawn(tensor, config, seed))
  await writeSafetensors(file, tensors, { [syntheticKey]: 'true', seed: String(seed) }, (written, total) =>
    onProgress?.(written / total),
  )
}

/**
 * A tensor as GPT-2's initialiser draws it (Radford et al. 2019, section 2.3): N(0, range²), the projections back into
 * the residual stream scaled by 1 / sqrt(2 layers), biases 0, gains 1.
 */
function drawn({ name, shape, init }: ExpectedTensor, config: ModelConfig, seed: number): TensorToWrite {
  const { initializerRange: range, layers } = config
  switch (init) {
    case 'zeros':
      return { name, shape, fill: (out) => void out.fill(0) }
    case 'ones':
      return { name, shape, fill: (out) => void out.fill(1) }
    case 'normal':
      return { name, shape, fill: (out, start) => fillNormal(out, start, seed, name, range) }
    case 'residual':
      return { name, shape, fill: (out, start) => fillNormal(out, start, seed, name, range / Math.sqrt(2 * layers)) }
  }
}
