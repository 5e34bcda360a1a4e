import { describe, expect, it } from 'vitest'
import { parsePrompts } from '../../../src/cli/heads.ts'
import { asPng, attentionFiles, weightFiles } from '../../../src/cli/picture-files.ts'
import { readNpy } from '../../../src/cli/read-npy.ts'
import { encodeHalves } from '../../../src/render/half-float.ts'
import { encodeNpy } from '../../../src/render/npy.ts'
import { sampleAttention, sampleWeights } from './sample-heads.ts'

describe('arrays of the API', () => {
  it('are read as they were written, half-floats widened', () => {
    const values = Float32Array.of(0, 0.5, -1.25, 3, 0.1, 6)
    const whole = Buffer.concat([...encodeNpy('float32', [2, 3], [values])])
    expect(readNpy(whole)).toEqual({ shape: [2, 3], values })
    const halves = Float32Array.of(0, 0.5, -1.25, 3)
    const small = Buffer.concat([...encodeNpy('float16', [4], [encodeHalves(halves)])])
    expect(readNpy(small)).toEqual({ shape: [4], values: halves })
  })

  it('are refused where they are cut short, of another type or no array at all', () => {
    const whole = Buffer.concat([...encodeNpy('float32', [2], [Float32Array.of(1, 2)])])
    const others = Buffer.concat([...encodeNpy('int64', [1], [BigInt64Array.of(1n)])])
    for (const wrong of [whole.subarray(0, -1), others, Buffer.from('<html>an error</html>'), Buffer.alloc(0)]) {
      expect(() => readNpy(wrong)).toThrow(/an array that cannot be read/)
    }
  })
})

describe('files of a run on heads', () => {
  it('are the grids as pictures, and each head as pictures and array', () => {
    const { run } = sampleWeights(4)
    const files = weightFiles(run, false)
    expect(files).toHaveLength(2 * 2 + 32 * 3)
    expect(files[1]).toEqual({ name: 'weights-L0-K-grid.png', path: '/runs/run/weights/0/K/grid.png?attempt=1' })
    expect(files.at(-1)).toEqual({ name: 'weights-L0-V-H15.npy', path: '/runs/run/weights/0/V/15.npy?attempt=1' })
    expect(weightFiles(run, true)[0]?.path).toBe('/runs/run/weights/0/K/grid.svg?attempt=1&view=heads')
    const names = attentionFiles(sampleAttention(4).run).map(({ name }) => name)
    expect(names).toHaveLength(2 + 2 + 16 * 3)
    expect(names).toContain('diversity-L23.svg')
    expect(names).toContain('attention-P0-L23-H7.npy')
    expect(new Set(names).size).toBe(names.length)
  })

  it('change the ending of a path alone', () => {
    expect(asPng('/runs/a.svg-b/grid.svg?attempt=2')).toBe('/runs/a.svg-b/grid.png?attempt=2')
  })
})

describe('prompts of a file', () => {
  it('are its lines, or the texts of a JSON list', () => {
    expect(parsePrompts('one\n\n  two \r\n', 'p.txt')).toEqual(['one', '  two '])
    expect(parsePrompts('["one\\ntwo", "three"]', 'p.json')).toEqual(['one\ntwo', 'three'])
    expect(parsePrompts('[INST] hello', 'p.txt')).toEqual(['[INST] hello'])
  })

  it.each(['', '\n \n', '[]', '[1, 2]'])('are refused where %j holds none', (text) => {
    expect(() => parsePrompts(text, 'p.txt')).toThrow('p.txt holds no prompt')
  })
})
