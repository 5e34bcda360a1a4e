import { setImmediate } from 'node:timers/promises'
import type { Report } from '../bench/progress.ts'
import { AppError } from '../errors.ts'
import type { MapRows } from '../heads/map-rows.ts'
import { type CapturedRows, captureAttention } from '../models/attention-capture.ts'
import type { CapturePlan } from '../models/capture-plan.ts'
import { loadModel } from '../models/runner.ts'
import type { OpenedModel } from '../models/synthetic.ts'
import type { ExecutionProvider } from '../onnx/session.ts'
import { decodeHalves } from '../render/half-float.ts'

export interface CapturePasses extends OpenedModel {
  name: string
  provider: ExecutionProvider
  threads: number
  plan: CapturePlan
  /** query heads to capture; null: all */
  heads: readonly number[] | null
  /** as the graph returns probabilities */
  type: 'float32' | 'float16'
  /** ids of each prompt */
  prompts: readonly (readonly number[])[]
  generatedTokens: number
}

export interface CaptureReceiver {
  /** Rows of one layer, [heads, queries, keys]; the array is used again afterwards. `tokens` reach to the last query. */
  rows(prompt: number, layer: number, rows: MapRows, tokens: readonly number[]): Promise<void> | void
  /** All rows of the pass's layers came. `tokens` are the prompt's and those generated after it. */
  endPrompt?(prompt: number, tokens: readonly number[]): Promise<void>
}

/**
 * Loads the model once a pass and runs every prompt through it. What the first pass generates the later ones are given.
 * @returns the whole sequence of each prompt
 * @throws AppError as loading and running a model
 */
export async function runPasses(passes: CapturePasses, receiver: CaptureReceiver, report: Report): Promise<number[][]> {
  const { name, plan, generatedTokens } = passes
  const lengths = passes.prompts.map((prompt) => prompt.length + generatedTokens)
  const work = plan.passes.map((pass) => pass.layersRun * lengths.reduce((sum, length) => sum + length, 0))
  const all = work.reduce((sum, part) => sum + part, 0)
  let sequences: number[][] | null = null
  let done = 0
  for (const [index, pass] of plan.passes.entries()) {
    const title = plan.passes.length === 1 ? name : `${name}, pass ${index + 1} of ${plan.passes.length}`
    await report(done / all, `${title}: loading the weights`)
    // Loading blocks: the message leaves first.
    await setImmediate()
    const generates = sequences === null && generatedTokens > 0
    const model = await loadModel(passes.checkpoint, passes.config, {
      provider: passes.provider,
      threads: passes.threads,
      logits: generates ? 'last' : 'none',
      layers: pass.layersRun,
      attention: { layers: pass.layers, heads: passes.heads, type: passes.type },
    })
    const made: number[][] = []
    try {
      for (const [prompt, own] of passes.prompts.entries()) {
        const tokens = sequences?.[prompt] ?? own
        const inFloats = floatRows()
        const size = lengths[prompt] ?? 0
        const onRows = async (captured: CapturedRows) => {
          const rows = inFloats(captured)
          requireNumbers(rows, `${name}, layer ${captured.layer}, prompt ${prompt}`)
          await receiver.rows(prompt, captured.layer, rows, captured.tokens)
          if (captured.layer !== pass.layers.at(-1)) return
          const fraction = (done + pass.layersRun * captured.keys) / all
          await report(
            fraction,
            `${title}: prompt ${prompt + 1} of ${lengths.length}, ${captured.keys} of ${size} tokens`,
          )
        }
        const request = {
          prompt: tokens,
          generatedTokens: generates ? generatedTokens : 0,
          chunk: plan.chunk,
          layers: pass.layers,
        }
        const whole = await captureAttention(model, request, onRows)
        made.push(whole)
        await receiver.endPrompt?.(prompt, whole)
        done += pass.layersRun * size
      }
    } finally {
      await model.close()
    }
    sequences ??= made
  }
  return sequences ?? []
}

/**
 * Weights that hold NaN or infinity would give maps that draw as blanks and that nobody can read as JSON. A softmax with
 * one score that is no number has none in its whole row, so the first key tells of it.
 * @throws AppError CHECKPOINT_INVALID
 */
function requireNumbers({ probabilities, heads, firstQuery, queries, keys }: MapRows, where: string): void {
  for (let row = 0; row < heads * queries; row += 1) {
    const value = probabilities[row * keys]
    if (Number.isFinite(value)) continue
    throw new AppError(
      'CHECKPOINT_INVALID',
      `${where}, head ${Math.floor(row / queries)} of those captured, query ${firstQuery + (row % queries)}: the attention probability of the first key is ${value}`,
      'Weights that hold NaN or infinity give such maps: download the checkpoint again, or look at its weights.',
    )
  }
}

/** Captured rows as float32; half-floats are widened into one array that is used again. */
function floatRows(): (captured: CapturedRows) => MapRows {
  let scratch = new Float32Array(0)
  return ({ data, heads, firstQuery, queries, keys }) => {
    const shape = { heads, firstQuery, queries, keys }
    if (data instanceof Float32Array) return { ...shape, probabilities: data }
    if (scratch.length < data.length) scratch = new Float32Array(data.length)
    return { ...shape, probabilities: decodeHalves(data, scratch.subarray(0, data.length)) }
  }
}
