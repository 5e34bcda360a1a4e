import { isRecord } from '../checkpoints/quote.ts'
import { expectedTensors } from './expected-tensors.ts'
import { bytesOfValues } from './kv-values.ts'
import type { ModelConfig } from './model-config.ts'
import { parameterCount } from './parameters.ts'

const weightBits: Record<string, number> = { float32: 32, float16: 16, bfloat16: 16, float8_e4m3fn: 8 }

/**
 * Bytes of all weights: in the width of config.json's quantization_config where it names one (`bits` of GPTQ and AWQ,
 * fp8; scales not counted), else in its dtype, else at 16 bits a value.
 */
export function weightBytesOf(config: ModelConfig): number {
  const { quantization_config: quantised, dtype, torch_dtype: torchDtype } = config.raw
  const bits = isRecord(quantised) ? quantisedBits(quantised) : null
  return bytesOfValues(parameterCount(config), bits ?? weightBits[String(dtype ?? torchDtype)] ?? 16)
}

/**
 * Bytes of the weights as they are stored: of the tensors that the config asks for, without masks and the like.
 * @param tensors by name, in bytes
 * @returns null where one of them is not there or in a dtype that the engine does not read
 */
export function storedWeightBytes(
  config: ModelConfig,
  tensors: ReadonlyMap<string, { length: number }>,
): number | null {
  let bytes = 0
  for (const { name } of expectedTensors(config)) {
    const tensor = tensors.get(name)
    if (tensor === undefined) return null
    bytes += tensor.length
  }
  return bytes
}

function quantisedBits({ quant_method: method, bits }: Record<string, unknown>): number | null {
  if (method === 'fp8' || method === 'fbgemm_fp8') return 8
  return bits === 2 || bits === 3 || bits === 4 || bits === 8 ? bits : null
}

/** How many sequences of a length fit into memory. */
export interface KvFit {
  contextLength: number
  sequences: number
}

export interface KvFitQuestion {
  /** of one device, left by the weights; may be below 0 */
  freeBytes: number
  /** bytes of one sequence's cache on the device that keeps the most */
  bytesOfSequence(contextLength: number): number
  /** tokens that were asked for */
  contextLength: number
  /** the model's own */
  longest: number
}

const shortestShown = 1024

export function sequencesThatFit({ freeBytes, bytesOfSequence }: KvFitQuestion, contextLength: number): number {
  return Math.max(0, Math.floor(freeBytes / bytesOfSequence(contextLength)))
}

/** Sequences at the length asked for, at 1,024 tokens and its doubles, and at the model's context. */
export function fitByLength(question: KvFitQuestion): KvFit[] {
  const lengths = new Set([question.contextLength, question.longest])
  for (let length = shortestShown; length < question.longest; length *= 2) lengths.add(length)
  return [...lengths]
    .sort((a, b) => a - b)
    .map((contextLength) => ({ contextLength, sequences: sequencesThatFit(question, contextLength) }))
}

/** The longest context, of the model's own at most, of which `batch` sequences fit; 0 where not even one token does. */
export function longestThatFits({ freeBytes, bytesOfSequence, longest }: KvFitQuestion, batch: number): number {
  const fits = (length: number) => bytesOfSequence(length) * batch <= freeBytes
  let [most, beyond] = [0, longest + 1]
  while (beyond - most > 1) {
    const middle = Math.floor((most + beyond) / 2)
    if (fits(middle)) most = middle
    else beyond = middle
  }
  return most
}
