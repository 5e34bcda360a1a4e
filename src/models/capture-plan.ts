import { routedWidth } from '../architecture/active-parameters.ts'
import { kvCacheBytes } from '../architecture/kv-bytes.ts'
import { latentStepValues } from '../architecture/latent-step.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import { levelCount, levelSide, storedAs, tileSide } from '../render/attention-tiles.ts'

/**
 * What capturing attention may take by the formula of `passMemory`, so that the resident set stays under 1 GB beside the
 * weights: arrays that wait for the garbage collector, the runtime's own arena and the pages of the embedding's rows were
 * 230 MB more, at 2,048 tokens x 24 layers x 16 heads.
 */
export const captureBudget = 720e6

/** Rows of a prompt in one step: matrix products are as fast as with more, and half as many where memory is short. */
const chunks = [128, 64] as const

export interface CaptureSize {
  config: ModelConfig
  /** whose attention is captured, ascending */
  layers: readonly number[]
  /** heads captured in each of them, and those of them whose maps are stored */
  heads: number
  storedHeads: number
  /** tokens of the longest map */
  tokens: number
  /** bytes of one value as the graph returns it */
  width: 2 | 4
  /** whether the first pass continues the prompts, for which it runs every layer */
  generates: boolean
  /** bytes held whatever the layers, such as sums over heads and prompts */
  held?: number
}

/** Bytes of one pass, beside the weights. */
export interface CaptureMemory {
  /** the graph's outputs in one step, and their copies in JavaScript, of the captured layers */
  outputs: number
  copies: number
  /** open bands of tiles of every map, on all levels of their pyramids */
  bands: number
  /** keys and values of the layers run, in f32 */
  kvCache: number
  /** the rest: a step's scores, a layer's rows in f32, new keys and values twice, batches on their way, `held` */
  rest: number
}

export interface CapturePass {
  /** captured, ascending */
  layers: number[]
  /** run, from the first */
  layersRun: number
  memory: CaptureMemory
}

export interface CapturePlan {
  /** tokens a step */
  chunk: number
  /** from the last layers down */
  passes: CapturePass[]
}

/**
 * Splits capturing into as few passes as keep each within the budget. Every pass runs the prompts again from the first
 * layer to its last, so there is one wherever one fits (24 layers x 16 heads: to 800 tokens); where not even a single
 * layer fits, each pass has one.
 */
export function planCapture(size: CaptureSize, budget = captureBudget): CapturePlan {
  const plans = chunks.map((chunk) => ({ chunk, passes: splitLayers(size, chunk, budget) }))
  const [wide, narrow] = plans
  if (wide === undefined || narrow === undefined) return { chunk: chunks[0], passes: [] }
  return wide.passes.length <= narrow.passes.length && wide.passes.every((pass) => total(pass.memory) <= budget)
    ? wide
    : narrow
}

/** Takes layers from the last one down, as many as fit: the lower a pass's last layer, the smaller its K/V cache. */
function splitLayers(size: CaptureSize, chunk: number, budget: number): CapturePass[] {
  const passes: CapturePass[] = []
  let left = [...size.layers]
  while (left.length > 0) {
    const whole = size.generates && passes.length === 0
    let pass = passOf(size, left.slice(-1), chunk, whole)
    for (let count = 2; count <= left.length; count++) {
      const larger = passOf(size, left.slice(-count), chunk, whole)
      if (total(larger.memory) > budget) break
      pass = larger
    }
    passes.push(pass)
    left = left.slice(0, left.length - pass.layers.length)
  }
  return passes
}

function passOf(size: CaptureSize, layers: number[], chunk: number, whole: boolean): CapturePass {
  const layersRun = whole ? size.config.layers : (layers.at(-1) ?? 0) + 1
  return { layers, layersRun, memory: passMemory(size, layers.length, layersRun, chunk) }
}

/** Scores before and after the mask, probabilities, and one more while they are split: [heads, chunk, keys] f32 each. */
const scoreTensors = 4
/** Two batches of rows on their way to the parent, each as rows and as a message. */
const onTheirWay = 4 * 4e6
const bytesPerFloat = 4

/**
 * What one pass takes beside the weights, where `layers` of its `layersRun` are captured.
 *
 *     outputs = copies = layers x heads x chunk x tokens x (2 or 4) B
 *     bands   = layers x stored heads x bytes of the open bands of one map
 *     cache   = keys and values of the layers run x tokens x 4 B
 *
 * Of a layer with a window the graph returns fewer columns, which count as if they were all there: their copies are.
 */
export function passMemory(
  { config, heads, storedHeads, tokens, width, held = 0 }: CaptureSize,
  layers: number,
  layersRun: number,
  chunk: number,
): CaptureMemory {
  const rows = Math.min(chunk, tokens)
  const outputs = layers * heads * rows * tokens * width
  const run = { attention: config.attention.slice(0, layersRun) }
  const cacheOf = (contextLength: number) => kvCacheBytes(run, { contextLength, bitsPerValue: 8 * bytesPerFloat })
  const scores = scoreTensors * config.heads * rows * tokens * bytesPerFloat
  const forward = Math.max(2 * config.intermediateSize, routedWidth(config))
  const inside = forward + 6 * config.hiddenSize + latentStepValues(config)
  const activations = rows * inside * bytesPerFloat
  const inFloats = heads * rows * tokens * bytesPerFloat
  return {
    outputs,
    copies: outputs,
    bands: layers * storedHeads * bandBytes(tokens),
    kvCache: cacheOf(Math.ceil(tokens / 64) * 64),
    rest: scores + activations + inFloats + 2 * cacheOf(rows) + onTheirWay + held,
  }
}

/** Open bands of one map's pyramid: a row of tiles on each level, twice (mean, maximum) above level 0, and rows in f32. */
export function bandBytes(tokens: number): number {
  const width = storedAs(tokens) === 'F32' ? 4 : 2
  let bytes = 0
  for (let level = 0; level < levelCount(tokens); level++) {
    const side = levelSide(tokens, level)
    bytes += (level === 0 ? 1 : 2) * Math.min(tileSide, side) * side * width + 4 * side * bytesPerFloat
  }
  return bytes
}

export function total({ outputs, copies, bands, kvCache, rest }: CaptureMemory): number {
  return outputs + copies + bands + kvCache + rest
}
