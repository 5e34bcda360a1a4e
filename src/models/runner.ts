import { checkTensors } from '../architecture/check-tensors.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import type { Checkpoint } from '../checkpoints/checkpoint.ts'
import { AppError } from '../errors.ts'
import { takesEmptyTensors } from '../onnx/provider-graphs.ts'
import { type ExecutionProvider, openSession, type Tensor } from '../onnx/session.ts'
import { inputNames, ringPositionsName } from './attention-step.ts'
import { checkTokens } from './check-tokens.ts'
import { type AttentionCapture, type AttentionOutput, buildDecoder, type Decoder } from './decoder.ts'
import { createKvCache, type GraphCache, type KvCache, maskedScore } from './kv-cache.ts'
import { type AttentionProbabilities, columnsByPosition } from './probability-columns.ts'
import { findFamily } from './registry.ts'

export interface RunnerOptions {
  provider: ExecutionProvider
  /** Threads inside one operator; null: one for each physical core. */
  threads: number | null
  /** Of which positions logits are computed: the last (the default; all that generating needs), all, or none. */
  logits?: 'last' | 'all' | 'none'
  /** How many layers are run, from the first; all unless said, and fewer only without logits. */
  layers?: number
  /** Whether weights stay in the file's pages: see `SessionOptions` of onnx/session. Packed copies unless said. */
  mapped?: boolean
  /** Whose attention probabilities a step returns; true: every layer's and head's. */
  attention?: boolean | AttentionCapture
}

/** What one step computed. */
export interface Logits {
  /** row-major [batch, positions, vocabulary], before any softmax */
  data: Float32Array
  /** batch, positions (1 unless all were asked for), vocabulary; all 0 where no logits are computed */
  dims: readonly [number, number, number]
  /** one for each layer asked for, ascending: [batch, heads, new tokens, cached + new tokens] */
  attention: AttentionProbabilities[]
}

/** A loaded model. It runs the caches that it made, of whatever kind they are, and no others. */
export interface RunnableModel<Cache extends KvCache = KvCache> {
  readonly config: ModelConfig
  /**
   * An empty cache for sequences of equal length.
   * @param rows all that it will ever hold, where that is known: see `createKvCache`
   */
  createCache(batch?: number, rows?: number): Cache
  /**
   * Runs new tokens, [batch][tokens] of equal lengths, after those that the cache holds, and adds theirs to it.
   * @throws AppError CONTEXT_EXCEEDED, VALIDATION_FAILED, OUT_OF_MEMORY
   */
  forward(tokens: readonly (readonly number[])[], cache: Cache): Promise<Logits>
  close(): Promise<void>
}

/**
 * Loads a checkpoint into the runtime. No weight is copied in JavaScript; the runtime reads the files itself.
 * @throws AppError CONFIG_UNSUPPORTED, CHECKPOINT_INVALID, DEVICE_UNAVAILABLE, OUT_OF_MEMORY
 */
export async function loadModel(
  checkpoint: Checkpoint,
  config: ModelConfig,
  options: RunnerOptions,
): Promise<RunnableModel<GraphCache>> {
  const family = findFamily(config)
  const [stranger] = checkTensors(checkpoint, config).unexpected
  if (stranger !== undefined) {
    throw new AppError(
      'CHECKPOINT_INVALID',
      `${checkpoint.directory} holds ${stranger}, which no part of a ${config.family} model reads`,
      'Check that config.json belongs to these weights: running without that tensor would give wrong numbers.',
    )
  }
  const { provider, logits = 'last', attention = false, layers = config.layers } = options
  const run = { ...config, layers: logits === 'none' ? layers : config.layers }
  return openDecoder(buildDecoder(family, checkpoint, run, { provider, logits, attention }), config, options)
}

/** Loads a graph that `buildDecoder` made. */
export async function openDecoder(
  decoder: Decoder,
  config: ModelConfig,
  { provider, threads, mapped = false }: Pick<RunnerOptions, 'provider' | 'threads' | 'mapped'>,
): Promise<RunnableModel<GraphCache>> {
  const session = await openSession(decoder.model.bytes, { files: decoder.model.files, provider, threads, mapped })
  const outputs = [
    ...(decoder.logitsOutput === null ? [] : [decoder.logitsOutput]),
    ...decoder.slots.map((slot) => slot.output),
    ...decoder.attentionOutputs.map(({ name }) => name),
  ]
  const inputs = new Set(session.inputs)
  let causal = causalMask(1)

  return {
    config,
    createCache: (batch = 1, rows) => createKvCache(decoder.slots, batch, takesEmptyTensors(provider), rows),
    async forward(tokens, cache) {
      const count = checkTokens(tokens, cache, config)
      if (causal.dims[2] !== count) causal = causalMask(count)
      const past = cache.length
      const { tensors, mask, ringPositions } = cache.feeds()
      const feeds: Record<string, Tensor> = {
        ...tensors,
        [inputNames.tokens]: integers(tokens.flat(), [tokens.length, count]),
        [inputNames.positions]: integers(
          Array.from({ length: count }, (_, index) => past + index),
          [count],
        ),
        [inputNames.cachedMask]: mask,
        [inputNames.causalMask]: causal,
      }
      for (const [window, positions] of ringPositions) feeds[ringPositionsName(window)] = positions
      // A graph takes the masks that its layers share, and no others.
      const taken = Object.entries(feeds).filter(([name]) => inputs.has(name))
      const results = await session.run(Object.fromEntries(taken), outputs)
      cache.append(results, count)
      return {
        ...logitsOf(results, decoder.logitsOutput),
        attention: decoder.attentionOutputs.map((output) => probabilities(results, output, past)),
      }
    },
    close: () => session.close(),
  }
}

/** [1, 1, S, S]: 0 where a token may look (itself and earlier), hugely negative where it may not. */
function causalMask(count: number): Tensor {
  const data = new Float32Array(count * count)
  for (let query = 0; query < count; query++) data.fill(maskedScore, query * count + query + 1, (query + 1) * count)
  return { type: 'float32', data, dims: [1, 1, count, count] }
}

function integers(values: readonly number[], dims: readonly number[]): Tensor {
  return { type: 'int64', data: BigInt64Array.from(values, (value) => BigInt(value)), dims }
}

function floats(results: Readonly<Record<string, Tensor>>, name: string): Extract<Tensor, { type: 'float32' }> {
  const tensor = results[name]
  if (tensor?.type !== 'float32') throw new AppError('INTERNAL', `the graph returned no float32 tensor ${name}`)
  return tensor
}

function logitsOf(results: Readonly<Record<string, Tensor>>, name: string | null): Pick<Logits, 'data' | 'dims'> {
  if (name === null) return { data: new Float32Array(0), dims: [0, 0, 0] }
  const { data, dims } = floats(results, name)
  const [batch = 0, positions = 0, vocabulary = 0] = dims
  return { data, dims: [batch, positions, vocabulary] }
}

function probabilities(
  results: Readonly<Record<string, Tensor>>,
  { name, window }: AttentionOutput,
  past: number,
): AttentionProbabilities {
  const tensor = results[name]
  return columnsByPosition(tensor?.type === 'float16' ? tensor : floats(results, name), past, window)
}
