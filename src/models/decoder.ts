import type { ModelConfig } from '../architecture/model-config.ts'
import type { Checkpoint } from '../checkpoints/checkpoint.ts'
import { AppError } from '../errors.ts'
import { createGraph, type GraphBuilder, type Value } from '../onnx/graph.ts'
import { type EncodedModel, encodeModel } from '../onnx/model-proto.ts'
import { cast, concat, gather, lastOf } from '../onnx/ops.ts'
import { graphOptionsFor } from '../onnx/provider-graphs.ts'
import type { ExecutionProvider } from '../onnx/session.ts'
import { type Attend, type AttentionOutputs, type AttentionSpec, attend } from './attention.ts'
import { attentionSteps, cachedRowsOf, inputNames } from './attention-step.ts'
import type { ModelBuilder, ModelFamily } from './family.ts'
import type { CacheSlot } from './kv-cache.ts'
import { type AttendLatent, attendLatent, latentWidth } from './mla.ts'
import { openWeights } from './weights.ts'

export interface DecoderOptions {
  provider: ExecutionProvider
  /** of which positions the logits are computed; none: the graph ends where nothing else needs it */
  logits: 'last' | 'all' | 'none'
  /** whose attention probabilities the graph returns; true: every layer's and head's */
  attention: boolean | AttentionCapture
  /** the attention block; another one is for experiments with it */
  attend?: Attend
  /** the same of layers that cache a latent */
  attendLatent?: AttendLatent
}

/** Which attention probabilities a graph returns, and how. */
export interface AttentionCapture {
  layers: readonly number[]
  /** query heads; null: all */
  heads: readonly number[] | null
  /** float16: rounded in the graph, to nearest and to even, which halves what has to be copied out of it */
  type: 'float32' | 'float16'
}

/** Probabilities of one layer, [B, H, S, P + S], columns in the order of the rows that the layer was fed. */
export interface AttentionOutput {
  name: string
  /** of the ring that the cached rows lie in; null where they lie in order */
  window: number | null
}

/** A model as one graph, which serves a prompt whole, a prompt in chunks, and single tokens alike. */
export interface Decoder {
  model: EncodedModel
  /** a key and a value for every layer, in that order, or the latent with its rotary key */
  slots: CacheSlot[]
  /** outputs with the probabilities of the layers asked for, ascending */
  attentionOutputs: AttentionOutput[]
  /** the output with the logits; null where there is none */
  logitsOutput: string | null
}

const logitsName = 'logits' // [B, 1 or S, vocabulary]

/**
 * Builds the graph of a checkpoint.
 * @throws AppError CHECKPOINT_INVALID for a tensor that is missing or of another shape
 */
export function buildDecoder(
  family: ModelFamily,
  checkpoint: Checkpoint,
  config: ModelConfig,
  options: DecoderOptions,
): Decoder {
  const graph = createGraph(graphOptionsFor(options.provider))
  const weights = openWeights(graph, checkpoint)
  const slots: CacheSlot[] = []
  const attentionOutputs: AttentionOutput[] = []
  const tokens = graph.input(inputNames.tokens, 'int64', ['B', 'S'])
  const positions = graph.input(inputNames.positions, 'int64', ['S'])
  const steps = attentionSteps(graph)

  /** One tensor of a layer's cache: what the step is fed of it, and the new rows that it returns. */
  function cache(layer: number, part: string, heads: number, width: number, window: number | null = null) {
    const slot = { input: `past/layers.${layer}/${part}`, output: `present/layers.${layer}/${part}`, heads, width }
    slots.push(window === null ? slot : { ...slot, window })
    return {
      cached: graph.input(slot.input, 'float32', ['B', heads, cachedRowsOf(window), width]),
      returns: (rows: Value) => graph.output(slot.output, rows, 'float32', ['B', heads, 'S', width]),
    }
  }

  /** The context, once the probabilities are made an output where they are asked for. */
  function captured(
    g: GraphBuilder,
    layer: number,
    heads: number,
    window: number | null,
    { context, probabilities }: AttentionOutputs,
  ): Value {
    const capture = captureOf(options.attention, layer)
    if (capture === null) return context
    const name = `attention/layers.${layer}`
    const at = g.at('captured')
    const kept = capture.heads === null ? probabilities : gather(at, probabilities, g.integers(capture.heads), 1)
    const rounded = capture.type === 'float32' ? kept : cast(at, kept, capture.type)
    graph.output(name, rounded, capture.type, ['B', capture.heads?.length ?? heads, 'S', 'T'])
    attentionOutputs.push({ name, window })
    return context
  }

  const model: ModelBuilder = {
    config,
    graph,
    tokens,
    positions,
    weight: weights.take,
    keyPositions: () => steps.of(null).keyPositions(),
    attend(g, layer, spec, heads) {
      const window = ringOf(spec, config)
      if (window !== null && heads.bias) {
        throw new AppError(
          'INTERNAL',
          `layer ${layer} has a window of ${window} and a bias by rows that lie in no ring`,
        )
      }
      const keys = cache(layer, 'key', spec.kvHeads, spec.keyDim, window)
      const values = cache(layer, 'value', spec.kvHeads, spec.valueDim, window)
      const inputs = { ...heads, cachedKey: keys.cached, cachedValue: values.cached }
      const attended = (options.attend ?? attend)(g, spec, inputs, steps.of(window))
      keys.returns(heads.key)
      values.returns(heads.value)
      return captured(g, layer, spec.heads, window, attended)
    },
    attendLatent(g, layer, spec, inputs) {
      const { cached, returns } = cache(layer, 'latent', 1, latentWidth(spec))
      const attended = (options.attendLatent ?? attendLatent)(g, spec, { ...inputs, cached }, steps.of(null))
      returns(concat(g.at('row'), [inputs.latent, inputs.rotaryKey], -1))
      return captured(g, layer, spec.heads, null, attended)
    },
  }

  const hidden = family.hidden(model)
  if (options.logits !== 'none') {
    const wanted = options.logits === 'last' ? lastOf(graph.at('last'), hidden, 1) : hidden
    const logits = family.logits(model, wanted)
    graph.output(logitsName, logits, 'float32', ['B', options.logits === 'last' ? 1 : 'S', config.vocabularySize])
  }

  const logitsOutput = options.logits === 'none' ? null : logitsName
  return { model: encodeModel(graph.finish()), slots, attentionOutputs, logitsOutput }
}

function captureOf(attention: DecoderOptions['attention'], layer: number): Omit<AttentionCapture, 'layers'> | null {
  if (attention === true) return { heads: null, type: 'float32' }
  return attention !== false && attention.layers.includes(layer) ? attention : null
}

/** A window that no sequence outgrows hides nothing: such a layer is fed as those without one, whose mask it shares. */
function ringOf({ window }: AttentionSpec, { contextLength }: ModelConfig): number | null {
  return window === undefined || window >= contextLength ? null : window
}
