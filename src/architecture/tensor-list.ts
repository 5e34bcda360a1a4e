import type { ExpectedTensor } from './model-config.ts'

/** weight and bias of a linear layer or of GPT-2's Conv1D; `shape` is the weight's, and the bias is as long as its output. */
export function affine(
  name: string,
  shape: [number, number],
  options: { bias?: boolean; layout?: 'out,in' | 'in,out'; init?: ExpectedTensor['init'] } = {},
): ExpectedTensor[] {
  const { bias = true, layout = 'out,in', init = 'normal' } = options
  const output = layout === 'out,in' ? shape[0] : shape[1]
  const weight: ExpectedTensor = { name: `${name}.weight`, shape, init }
  return bias ? [weight, { name: `${name}.bias`, shape: [output], init: 'zeros' }] : [weight]
}

export function layerNorm(name: string, size: number): ExpectedTensor[] {
  return [
    { name: `${name}.weight`, shape: [size], init: 'ones' },
    { name: `${name}.bias`, shape: [size], init: 'zeros' },
  ]
}

export function matrix(name: string, shape: [number, number]): ExpectedTensor {
  return { name: `${name}.weight`, shape, init: 'normal' }
}

/** 0, 1, ... count - 1 */
export function indices(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}
