import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { argmax, generateGreedy } from '../../../src/models/generate.ts'
import { loadModel, type RunnableModel } from '../../../src/models/runner.ts'

const folder = join(resolve(import.meta.dirname, '../../golden'), 'gpt2/heads5')

describe('greedy generation', () => {
  let model: RunnableModel
  beforeAll(async () => {
    const checkpoint = await openCheckpoint(folder)
    model = await loadModel(checkpoint, readModelConfig(checkpoint.config, 'heads5'), { provider: 'cpu', threads: 1 })
  })
  afterAll(() => model.close())

  async function generate(prompt: number[], count: number, stopIds?: ReadonlySet<number>) {
    const made: number[] = []
    for await (const token of generateGreedy(model, prompt, count, stopIds)) made.push(token)
    return made
  }

  it('feeds each token back: a longer prompt that holds the first tokens continues alike', async () => {
    const made = await generate([1, 2, 3], 8)
    expect(made).toHaveLength(8)
    expect(await generate([1, 2, 3, ...made.slice(0, 3)], 5)).toEqual(made.slice(3))
  })

  it('ends at a stop id and does not give it out', async () => {
    const made = await generate([1, 2, 3], 8)
    const stop = made[4] ?? -1
    expect(await generate([1, 2, 3], 8, new Set([stop]))).toEqual(made.slice(0, made.indexOf(stop)))
  })

  it('fills the context to its end, and refuses one token more before the first', async () => {
    expect(await generate([1, 2, 3], 14)).toHaveLength(14)
    await expect(generate([1, 2, 3], 15)).rejects.toMatchObject({ code: 'CONTEXT_EXCEEDED' })
  })

  it('takes the lowest id where several are equally likely', () => {
    expect(argmax(Float32Array.from([1, 3, 3, 2]))).toBe(1)
    expect(argmax(Float32Array.from([Number.NEGATIVE_INFINITY, -5, -4]))).toBe(2)
  })
})

describe('greedy generation by LongRoPE', () => {
  // Its long factors begin with the seventh token.
  const phi3 = join(resolve(import.meta.dirname, '../../golden'), 'phi3/longrope')

  it.each([[[1, 2, 3]], [[9, 30, 4]], [[60, 5, 11]]])(
    'computes %o anew where the long factors begin: a longer prompt that holds the first tokens continues alike',
    async (prompt) => {
      const checkpoint = await openCheckpoint(phi3)
      const config = readModelConfig(checkpoint.config, 'longrope')
      const model = await loadModel(checkpoint, config, { provider: 'cpu', threads: 1 })
      const generate = async (start: readonly number[], count: number) => {
        const made: number[] = []
        for await (const token of generateGreedy(model, start, count)) made.push(token)
        return made
      }
      const made = await generate(prompt, 12)
      for (const known of [4, 6, 9]) {
        expect(await generate([...prompt, ...made.slice(0, known)], 12 - known)).toEqual(made.slice(known))
      }
      await model.close()
    },
  )
})
