import { describe, expect, it } from 'vitest'
import type { ModelConfig } from '../../../src/architecture/model-config.ts'
import { overridePreset } from '../../../src/architecture/preset-config.ts'
import { bandBytes, captureBudget, passMemory, planCapture, total } from '../../../src/models/capture-plan.ts'

const all = (config: ModelConfig) => Array.from({ length: config.layers }, (_, layer) => layer)
const long = overridePreset('gpt2-medium-4k', null).config
const sizeOf = (tokens: number, config = long) => ({
  config,
  layers: all(config),
  ...{ heads: 16, storedHeads: 16, tokens, generates: false, held: 4e6 },
  width: tokens > 128 ? (2 as const) : (4 as const),
})

describe('the plan of a capture', () => {
  it.each([1, 9, 128, 129, 512, 800])('runs all layers of gpt2-medium in one pass at %i tokens', (tokens) => {
    const plan = planCapture(sizeOf(tokens))
    expect(plan.passes.map(({ layers }) => layers)).toEqual([all(long)])
    expect(plan.chunk).toBe(tokens <= 512 ? 128 : 64)
  })

  it('keeps 24 layers of 16 heads at 2,048 tokens below 1 GB, in a few passes', () => {
    const { passes } = planCapture(sizeOf(2048))
    expect(passes.length).toBeLessThanOrEqual(5)
    for (const { memory } of passes) expect(total(memory)).toBeLessThanOrEqual(captureBudget)
    expect(captureBudget).toBeLessThan(1e9)
  })

  it('captures every layer once, from the last down, and runs none beyond the last that a pass captures', () => {
    const { passes } = planCapture(sizeOf(2048))
    expect(passes.toReversed().flatMap(({ layers }) => layers)).toEqual(all(long))
    for (const { layers, layersRun } of passes) expect(layersRun).toBe((layers.at(-1) ?? 0) + 1)
  })

  it('runs every layer in the first pass where that has to generate', () => {
    const layers = [3, 4]
    expect(planCapture({ ...sizeOf(200), layers }).passes.map(({ layersRun }) => layersRun)).toEqual([5])
    const generating = planCapture({ ...sizeOf(200), layers, generates: true })
    expect(generating.passes.map(({ layersRun }) => layersRun)).toEqual([24])
    expect(generating.passes[0]?.memory.kvCache).toBeGreaterThan(
      planCapture({ ...sizeOf(200), layers }).passes[0]?.memory.kvCache ?? 0,
    )
  })

  it('takes a layer at a time, in small chunks, where nothing fits', () => {
    const { chunk, passes } = planCapture(sizeOf(2048), 1)
    expect(chunk).toBe(64)
    expect(passes).toHaveLength(24)
  })
})

describe('the memory of a pass', () => {
  it('is what the formula says, by hand for one layer of gpt2-medium at 2,048 tokens and 64 rows', () => {
    const memory = passMemory(sizeOf(2048), 1, 24, 64)
    expect(memory.outputs).toBe(16 * 64 * 2048 * 2)
    expect(memory.copies).toBe(memory.outputs)
    expect(memory.kvCache).toBe(24 * 16 * 64 * 2 * 2048 * 4)
    // Tiles of 256 rows: the map's 2,048 columns once, those of the three levels above twice; four rows of f32 a level.
    const tiles = 256 * 2 * (2048 + 2 * (1024 + 512 + 256))
    const rows = 4 * 4 * (2048 + 1024 + 512 + 256)
    expect(bandBytes(2048)).toBe(tiles + rows)
    expect(memory.bands).toBe(16 * (tiles + rows))
  })

  it('has no more rows than tokens, and f32 to 128 tokens', () => {
    const memory = passMemory(sizeOf(9), 24, 24, 128)
    expect(memory.outputs).toBe(24 * 16 * 9 * 9 * 4)
    expect(bandBytes(9)).toBe(9 * 9 * 4 + 4 * 9 * 4)
  })
})
