import { describe, expect, it } from 'vitest'
import { blockOf, type HeadBlock, headOfBlock } from '../../../src/architecture/fused-blocks.ts'

const shapes = [
  { heads: 32, kvHeads: 32 },
  { heads: 71, kvHeads: 1 },
  { heads: 128, kvHeads: 8 },
]

function* matricesOf({ heads, kvHeads }: { heads: number; kvHeads: number }): Generator<HeadBlock> {
  for (let head = 0; head < heads; head += 1) yield { projection: 'Q', head }
  for (let head = 0; head < kvHeads; head += 1) yield { projection: 'K', head }
  for (let head = 0; head < kvHeads; head += 1) yield { projection: 'V', head }
}

describe('the blocks of a fused projection', () => {
  it.each(['byPart', 'byGroup'] as const)('are one each for every matrix, and tell whose they are (%s)', (order) => {
    for (const shape of shapes) {
      const matrices = [...matricesOf(shape)]
      const blocks = matrices.map((matrix) => blockOf(order, matrix, shape))
      expect(blocks.toSorted((a, b) => a - b)).toEqual(matrices.map((_, index) => index))
      expect(blocks.map((block) => headOfBlock(order, block, shape))).toEqual(matrices)
    }
  })

  it("find in falcon-rw-1b, read as MQA, head 10's V for the shared K and head 11's Q for the shared V", () => {
    const asMqa = { heads: 32, kvHeads: 1 }
    const trulyMha = { heads: 32, kvHeads: 32 }
    const key = blockOf('byGroup', { projection: 'K', head: 0 }, asMqa)
    const value = blockOf('byGroup', { projection: 'V', head: 0 }, asMqa)
    expect([key * 64, value * 64]).toEqual([2048, 2112])
    expect(headOfBlock('byGroup', key, trulyMha)).toEqual({ projection: 'V', head: 10 })
    expect(headOfBlock('byGroup', value, trulyMha)).toEqual({ projection: 'Q', head: 11 })
  })
})
