import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { roundWeights } from '../../src/checkpoints/round-weights.ts'

const words = z.array(z.int())
const golden = z.object({ float32: words, float16: words, bfloat16: words })

let expected: z.infer<typeof golden>
let values: Float32Array
beforeAll(async () => {
  expected = golden.parse(JSON.parse(await readFile(join(import.meta.dirname, 'rounding.json'), 'utf8')))
  values = new Float32Array(Uint32Array.from(expected.float32).buffer)
})

const isNan = (word: number, infinity: number) => (word & 0x7fff) > infinity

describe('weights rounded to 16 bits', () => {
  it.each([
    { dtype: 'F16', golden: 'float16', infinity: 0x7c00 },
    { dtype: 'BF16', golden: 'bfloat16', infinity: 0x7f80 },
  ] as const)('are bit for bit what NumPy makes of them in $golden', ({ dtype, golden: name, infinity }) => {
    const into = new Uint16Array(values.length)
    roundWeights(values, dtype, into)
    const differing = [...into].flatMap((word, at) => {
      const wanted = expected[name][at] ?? -1
      // Which bits of a NaN are kept is nobody's promise.
      const same = Number.isNaN(values[at]) ? isNan(word, infinity) && isNan(wanted, infinity) : word === wanted
      return same ? [] : [{ value: values[at], word, wanted }]
    })
    expect(into.length).toBeGreaterThan(600)
    expect(differing).toEqual([])
  })
})
