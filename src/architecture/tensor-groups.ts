import { layerRanges } from './layer-ranges.ts'

/** A tensor as far as a header or a config.json tells. */
export interface NamedTensor {
  name: string
  shape: readonly number[]
  /** as safetensors spells it; null where only a config.json speaks */
  dtype: string | null
}

/** Tensors that differ by the numbers in their names alone. */
export interface TensorGroup {
  /** the name with its numbers as ranges: `h.{0-11}.attn.c_attn.weight` */
  name: string
  shape: number[]
  dtype: string | null
  tensors: number
}

const numberPart = /^\d+$/

/**
 * Tensors of one shape and dtype whose names differ by layer and expert only, as one line each, in the order of their
 * first. 92,000 tensors of DeepSeek-V3 become thirty lines.
 */
export function groupTensors(tensors: Iterable<NamedTensor>): TensorGroup[] {
  const groups = new Map<string, { first: NamedTensor; parts: string[]; numbers: Set<number>[]; tensors: number }>()
  for (const tensor of tensors) {
    const parts = tensor.name.split('.')
    const key = JSON.stringify([parts.map((part) => (numberPart.test(part) ? 0 : part)), tensor.shape, tensor.dtype])
    const numbers = parts.filter((part) => numberPart.test(part)).map(Number)
    const group = groups.get(key)
    if (group === undefined) {
      groups.set(key, { first: tensor, parts, numbers: numbers.map((number) => new Set([number])), tensors: 1 })
      continue
    }
    group.tensors += 1
    for (const [place, number] of numbers.entries()) group.numbers[place]?.add(number)
  }
  return [...groups.values()].map(({ first, parts, numbers, tensors: count }) => {
    let place = 0
    const spelled = parts.map((part) => {
      if (!numberPart.test(part)) return part
      const seen = [...(numbers[place++] ?? [])].sort((a, b) => a - b)
      return seen.length === 1 ? part : `{${layerRanges(seen)}}`
    })
    return { name: spelled.join('.'), shape: [...first.shape], dtype: first.dtype, tensors: count }
  })
}
