import { InvalidArgumentError } from 'commander'
import { describe, expect, it } from 'vitest'
import { llamaBenchFlags, parseSweep } from '../../../../src/cli/benchmarks/bench-options.ts'
import { numberList, promptAndGenerated } from '../../../../src/cli/benchmarks/number-list.ts'

const list = numberList(0, 4096)

describe("llama-bench's lists", () => {
  it.each([
    ['512', [512]],
    ['512,1024', [512, 1024]],
    ['1-4', [1, 2, 3, 4]],
    ['0-1024+512', [0, 512, 1024]],
    ['512-2048*2', [512, 1024, 2048]],
    ['16, 64-256*2', [16, 64, 128, 256]],
    ['512-1000*2', [512]],
  ])('reads %s', (text, values) => {
    expect(list(text)).toEqual(values)
  })

  it('adds what an option given again holds', () => {
    expect(list('64', list('16,32'))).toEqual([16, 32, 64])
  })

  it.each(['', 'many', '1.5', '-1', '4-1', '1-4*1', '0-4*2', '1-4+0', '5000', '0-4096'])('refuses %j', (text) => {
    expect(() => list(text)).toThrow(InvalidArgumentError)
  })

  it('reads a prompt with what follows it, and nothing else', () => {
    expect(promptAndGenerated(100)('64,16', [{ promptTokens: 1, generatedTokens: 2 }])).toEqual([
      { promptTokens: 1, generatedTokens: 2 },
      { promptTokens: 64, generatedTokens: 16 },
    ])
    for (const wrong of ['64', '64,', ',1', '0,1', '1,101', '1,2,3', 'a,b'])
      expect(() => promptAndGenerated(100)(wrong), wrong).toThrow(InvalidArgumentError)
  })

  it('reads the axis of a sweep and two values or more', () => {
    expect(parseSweep('depth=0,512-1024+512')).toEqual({ axis: 'DEPTH', values: [0, 512, 1024] })
    expect(parseSweep('kv-heads=4,1')).toEqual({ axis: 'KV_HEADS', values: [4, 1] })
    for (const wrong of ['depth', 'width=1,2', 'depth=1', 'depth=1,1', '=1,2'])
      expect(() => parseSweep(wrong), wrong).toThrow(InvalidArgumentError)
  })

  it("takes -pg and --no-warmup for bench's own, and leaves other commands alone", () => {
    expect(llamaBenchFlags(['bench', 'm', '-pg', '1,2', '--no-warmup'])).toEqual([
      'bench',
      'm',
      '--pg',
      '1,2',
      '--no-warm-up',
    ])
    expect(llamaBenchFlags(['kv', '-pg'])).toEqual(['kv', '-pg'])
  })
})
