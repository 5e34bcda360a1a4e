import type { WeightDtype } from './checkpoint.ts'

/** Bits of one value for every dtype that safetensors spells (safetensors/src/tensor.rs, `Dtype::bitsize`). */
export const bitsOf: ReadonlyMap<string, number> = new Map([
  ['F4', 4],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ['BOOL', 8],
  ['U8', 8],
  ['I8', 8],
  ['F8_E5M2', 8],
  ['F8_E4M3', 8],
  ['F8_E8M0', 8],
  ['I16', 16],
  ['U16', 16],
  ['F16', 16],
  ['BF16', 16],
  ['I32', 32],
  ['U32', 32],
  ['F32', 32],
  ['C64', 64],
  ['F64', 64],
  ['I64', 64],
  ['U64', 64],
])

const weightDtypes = ['F32', 'F16', 'BF16'] as const satisfies readonly WeightDtype[]

export function isWeightDtype(dtype: string): dtype is WeightDtype {
  return weightDtypes.some((known) => known === dtype)
}
