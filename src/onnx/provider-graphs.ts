import type { GraphOptions } from './graph.ts'
import type { ExecutionProvider } from './session.ts'

/** Providers with a kernel for onnxruntime's FusedMatMul; on the others it would fall back to the CPU. */
const withFusedMatMul: readonly ExecutionProvider[] = ['cpu', 'cuda']

/** How graphs have to be built for a provider, so that what costs time stays on it. */
export function graphOptionsFor(provider: ExecutionProvider): GraphOptions {
  return { fusedMatMul: withFusedMatMul.includes(provider), emptyTensors: takesEmptyTensors(provider) }
}

/**
 * Whether a provider computes with tensors of no elements. WebGPU ends the process in a matrix product over an inner size
 * of 0 (onnxruntime 1.30); of the rest only the CPU has been tried.
 */
export function takesEmptyTensors(provider: ExecutionProvider): boolean {
  return provider === 'cpu'
}
