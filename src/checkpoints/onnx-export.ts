import { createHash, type Hash } from 'node:crypto'
import { realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../errors.ts'
import type { Checkpoint, WeightDtype } from './checkpoint.ts'
import { type OnnxOutline, onnxTypes, readOnnxOutline } from './onnx-outline.ts'
import { openCheckpoint, openConfig } from './open.ts'
import { quote } from './quote.ts'
import { openRegular } from './regular-file.ts'
import { isInside } from './roots.ts'
import { fileInside, holdsWeights } from './shards.ts'

/**
 * How transformers.js spells the element type of an export's weights, and which files it looks for then: in the order
 * that they are taken in where nobody says which.
 */
const suffixes = {
  fp32: '',
  fp16: '_fp16',
  q8: '_quantized',
  int8: '_int8',
  uint8: '_uint8',
  q4: '_q4',
  q4f16: '_q4f16',
  bnb4: '_bnb4',
} as const
export type ExportDtype = keyof typeof suffixes
const exportDtypes = Object.keys(suffixes) as ExportDtype[]

/** What older exports call the graph comes second. */
const graphNames = ['model', 'decoder_model_merged'] as const

/** An ONNX export of a checkpoint, in the layout that transformers.js reads: the graph and its weights in onnx/. */
export interface OnnxExport {
  /** the graph's file, absolute, links resolved */
  file: string
  /** its name without the suffix of its dtype and `.onnx` */
  graphName: string
  /** as transformers.js spells it */
  dtype: ExportDtype
  /** dtype that most of the weights' bytes are stored in; null where they are quantised */
  weights: WeightDtype | null
  /** element type of cached keys and values */
  cached: 'F32' | 'F16'
  /** the graph's file and those of its weights */
  files: string[]
  /** of all these files */
  bytes: number
}

export interface ExportedCheckpoint extends Checkpoint {
  export: OnnxExport
}

const makeOne =
  'Make one with `optimum-cli export onnx --model FOLDER --task text-generation-with-past OUT`, put its files into FOLDER/onnx, or take runtime KVSCOPE.'

/**
 * Opens a folder for its ONNX export: config.json, and onnx/ with the graph. Weights in safetensors beside it are not
 * needed; where they are, they are described too. Nothing is run.
 * @param asked dtype that the export's weights shall have; null: what config.json names for transformers.js, else the
 * first of fp32, fp16, q8, ... that is there
 * @throws AppError NOT_FOUND where there is no such export, CHECKPOINT_INVALID where its files are damaged or it caches
 * no keys and values, CONFIG_UNSUPPORTED, PATH_FORBIDDEN for a file outside the folder
 */
export async function openExport(directory: string, asked: WeightDtype | null): Promise<ExportedCheckpoint> {
  const checkpoint = (await holdsWeights(directory)) ? await openCheckpoint(directory) : await openConfig(directory)
  const folder = await exportFolder(checkpoint.directory)
  const { file, graphName, dtype } = await findGraph(folder, checkpoint.config, asked)
  const outline = await readOnnxOutline(file)
  const cached = cachedType(outline, file)
  const files = await filesOf(outline, file, folder)
  const hash = createHash('sha256').update(checkpoint.fingerprint)
  let bytes = 0
  for (const path of files) bytes += await hashSamples(hash, path)
  return {
    ...checkpoint,
    fingerprint: hash.digest('hex'),
    export: { file, graphName, dtype, weights: weightsOf(outline, dtype), cached, files, bytes },
  }
}

async function exportFolder(directory: string): Promise<string> {
  const path = join(directory, 'onnx')
  const folder = await realpath(path).catch(() => null)
  if (folder === null || !(await stat(folder)).isDirectory()) {
    throw new AppError(
      'NOT_FOUND',
      `${directory} has no folder onnx/, where transformers.js looks for a graph`,
      makeOne,
    )
  }
  if (isInside(folder, directory)) return folder
  throw new AppError(
    'PATH_FORBIDDEN',
    `${path} is a link that leads out of its folder`,
    'A checkpoint is one folder: put the export itself into it.',
  )
}

interface FoundGraph {
  file: string
  graphName: string
  dtype: ExportDtype
}

async function findGraph(
  folder: string,
  config: Readonly<Record<string, unknown>>,
  asked: WeightDtype | null,
): Promise<FoundGraph> {
  const wanted = asked === null ? (dtypeInConfig(config) ?? exportDtypes) : [exportDtypeOf(asked, folder)]
  const looked: string[] = []
  for (const dtype of wanted) {
    for (const graphName of graphNames) {
      const name = `${graphName}${suffixes[dtype]}.onnx`
      looked.push(name)
      const file = await fileInside(folder, name)
      if (file !== null) return { file, graphName, dtype }
    }
  }
  throw new AppError('NOT_FOUND', `${folder} holds none of ${looked.join(', ')}`, makeOne)
}

/** What config.json's `transformers.js_config` names, which transformers.js itself goes by. */
function dtypeInConfig(config: Readonly<Record<string, unknown>>): ExportDtype[] | null {
  const own = config['transformers.js_config']
  if (typeof own !== 'object' || own === null || !('dtype' in own)) return null
  const named =
    typeof own.dtype === 'object' && own.dtype !== null && 'model' in own.dtype ? own.dtype.model : own.dtype
  const dtype = exportDtypes.find((known) => known === named)
  return dtype === undefined ? null : [dtype]
}

function exportDtypeOf(asked: WeightDtype, folder: string): ExportDtype {
  if (asked === 'F32') return 'fp32'
  if (asked === 'F16') return 'fp16'
  throw new AppError(
    'CONFIG_UNSUPPORTED',
    `${folder} is asked for weights in ${asked}, and transformers.js has no exports of that element type`,
    'Ask for F32 or F16, or for no dtype: what the folder holds is taken then.',
  )
}

/** Graphs without a cache would read the whole text again for every token: nothing to measure beside a KV cache. */
function cachedType({ inputs, outputs }: OnnxOutline, file: string): 'F32' | 'F16' {
  const past = inputs.filter(({ name }) => name.startsWith('past_key_values'))
  const [first] = past
  if (first === undefined || !outputs.some(({ name }) => name.startsWith('present'))) {
    throw new AppError(
      'CHECKPOINT_INVALID',
      `${file} takes no past_key_values or returns no present ones: it was exported without its KV cache`,
      makeOne,
    )
  }
  const { elementType } = first
  if (past.every((input) => input.elementType === elementType)) {
    if (elementType === onnxTypes.float32) return 'F32'
    if (elementType === onnxTypes.float16) return 'F16'
  }
  throw new AppError(
    'CONFIG_UNSUPPORTED',
    `${file} caches ${quote(first.name)} in ONNX's element type ${elementType}; float32 and float16 are measured`,
    'Export the model in fp32 or fp16.',
  )
}

/** Weights that are not in the graph's file must lie in files beside it, by name alone. */
async function filesOf({ weights }: OnnxOutline, file: string, folder: string): Promise<string[]> {
  const files = [file]
  for (const location of new Set(weights.map((weight) => weight.location))) {
    if (location === null) continue
    const path = await fileInside(folder, location)
    if (path === null) {
      throw new AppError(
        'CHECKPOINT_INVALID',
        `${file} keeps weights in ${quote(location)}, which is not in ${folder}`,
        'Download the export again, every file of it.',
      )
    }
    files.push(path)
  }
  return files
}

/** Quantised weights are integers with scales beside them, and the embedding often stays as it was. */
function weightsOf({ weights }: OnnxOutline, dtype: ExportDtype): WeightDtype | null {
  if (dtype !== 'fp32' && dtype !== 'fp16') return null
  const bytes = { F32: 0, F16: 0, BF16: 0, other: 0 }
  for (const { elementType, elements } of weights) {
    if (elementType === onnxTypes.float32) bytes.F32 += 4 * elements
    else if (elementType === onnxTypes.float16) bytes.F16 += 2 * elements
    else if (elementType === onnxTypes.bfloat16) bytes.BF16 += 2 * elements
    else bytes.other += elements
  }
  const most = Math.max(...Object.values(bytes))
  const named = (['F32', 'F16', 'BF16'] as const).find((name) => bytes[name] === most)
  return named ?? null
}

const wholeBytes = 16 * 1024 * 1024
const samples = 256
const sampleBytes = 4096

/**
 * A file of up to 16 MiB whole, of a longer one 256 pieces of 4 KiB spread evenly from its first byte to its last, and
 * the length of both: as with safetensors, a change between the samples stays unseen.
 * @returns the length
 */
async function hashSamples(hash: Hash, path: string): Promise<number> {
  const { handle, size } = await openRegular(path)
  try {
    hash.update(`\0${size}\0`)
    const whole = size <= wholeBytes
    const piece = Buffer.alloc(whole ? size : sampleBytes)
    for (let index = 0; index < (whole ? 1 : samples); index += 1) {
      const position = whole ? 0 : Math.floor(((size - sampleBytes) * index) / (samples - 1))
      const { bytesRead } = await handle.read(piece, 0, piece.length, position)
      hash.update(piece.subarray(0, bytesRead))
    }
    return size
  } finally {
    await handle.close()
  }
}
