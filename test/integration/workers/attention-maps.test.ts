import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { diversityPrompts } from '../../../src/heads/prompts.ts'
import { planCapture } from '../../../src/models/capture-plan.ts'
import { openSynthetic } from '../../../src/models/synthetic.ts'
import { causalTiles, levelCount } from '../../../src/render/attention-tiles.ts'
import { type CapturePasses, runPasses } from '../../../src/workers/capture-passes.ts'
import { type Captured, capture, levelOf } from '../../support/captured-maps.ts'
import { compute, largestDifference } from '../../support/golden.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-maps-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

/** Four query heads over two K/V heads; scores far apart, so that maps are not all alike. */
const overrides = {
  ...{ n_layer: 3, n_embd: 32, n_head: 4, num_key_value_heads: 2, vocab_size: 101, n_positions: 700 },
  initializer_range: 0.4,
}
const source = { synthetic: { preset: 'gpt2', seed: 3, overrides } }
const subjects = [{ source, threads: 1 }]
const tokensOf = (count: number) => Array.from({ length: count }, (_, position) => (position * 37 + 11) % 101)
const plain = { subjects, diversity: false }

/** The model's attention in one piece in float32, [layers, heads, size, size]. */
async function wholeAttention(tokens: readonly number[]): Promise<Float32Array> {
  const { checkpoint, config } = await openSynthetic(source.synthetic, dataDir)
  return (await compute(checkpoint, config, tokens)).attention
}
const mapOf = (attention: Float32Array, layer: number, head: number, size: number) =>
  attention.subarray((layer * 4 + head) * size * size, (layer * 4 + head + 1) * size * size)

describe('attention maps of up to 128 tokens', () => {
  let got: Captured
  beforeAll(async () => {
    got = await capture({ ...plain, tokenIds: tokensOf(100), layers: [2, 0], heads: [3, 1] }, { dataDir })
  })

  it('are those of the graph in one piece, bit for bit as float32, of the layers and heads asked for', async () => {
    const whole = await wholeAttention(tokensOf(100))
    expect(got.heads.map(({ layer, head }) => [layer, head])).toEqual([
      [0, 1],
      [0, 3],
      [2, 1],
      [2, 3],
    ])
    for (const { layer, head, storedAs } of got.heads) {
      expect(storedAs).toBe('F32')
      expect(largestDifference(levelOf(got, { layer, head }), mapOf(whole, layer, head, 100))).toBeLessThan(1e-6)
    }
  })

  it('come after the prompt and its tokens, and tiles before the map that they belong to', () => {
    expect(got.order).toEqual(['subjects', 'attentionPrompts', 'attentionTiles', 'attentionHeads'])
    const [prompt] = got.prompts
    expect(prompt?.tokens.map(({ id }) => id)).toEqual(tokensOf(100))
    expect(prompt?.tokens.every(({ generated }) => !generated)).toBe(true)
    expect(prompt?.tokens[0]?.text).toBe('[11]')
  })

  it('carry the K/V head, the mean entropy of the rows, and an overview of the greatest probabilities', async () => {
    const whole = await wholeAttention(tokensOf(100))
    expect(got.heads.map(({ kvHead }) => kvHead)).toEqual([0, 1, 0, 1])
    for (const { layer, head, entropy, overviewSide, overview } of got.heads) {
      const map = mapOf(whole, layer, head, 100)
      let bits = 0
      for (const p of map) if (p > 0) bits -= p * Math.log2(p)
      expect(entropy).toBeCloseTo(bits / 99, 4)
      expect(overviewSide).toBe(50)
      for (const [row, column] of [
        [0, 0],
        [49, 0],
        [49, 49],
        [20, 7],
      ] as const) {
        const cells = [0, 1].flatMap((dy) => [0, 1].map((dx) => map[(2 * row + dy) * 100 + 2 * column + dx] ?? 0))
        expect(overview[row * 50 + column]).toBe(Math.round(255 * Math.sqrt(Math.max(...cells))))
      }
    }
  })
})

describe('attention maps of more than 128 tokens', () => {
  const size = 600
  let got: Captured
  let whole: Float32Array
  beforeAll(async () => {
    got = await capture({ ...plain, tokenIds: tokensOf(size), layers: [1, 2] }, { dataDir })
    whole = await wholeAttention(tokensOf(size))
  })

  it('are rounded to half-floats: within half a unit in the last place of what float32 gives', () => {
    expect(got.heads).toHaveLength(8)
    for (const { layer, head, storedAs } of got.heads) {
      expect(storedAs).toBe('F16')
      expect(largestDifference(levelOf(got, { layer, head }), mapOf(whole, layer, head, size))).toBeLessThan(2.5e-4)
    }
  })

  it('come in causal tiles, all of every level', () => {
    const places = got.tiles.filter(({ layer, head }) => layer === 1 && head === 2)
    const wanted = Array.from(
      { length: levelCount(size) },
      (_, level) => causalTiles(size, level).length * (level === 0 ? 1 : 2),
    )
    expect(wanted).toEqual([6, 6, 2])
    expect(places).toHaveLength(14)
  })

  it('have pyramids of the mean and the greatest of their cells on or below the diagonal', () => {
    for (const level of [1, 2]) {
      const scale = 2 ** level
      const side = Math.ceil(size / scale)
      const map = levelOf(got, { layer: 2, head: 1 })
      const mean = levelOf(got, { layer: 2, head: 1, level })
      const maximum = levelOf(got, { layer: 2, head: 1, level, statistic: 'MAXIMUM' })
      for (const [row, column] of [
        [0, 0],
        [side - 1, 0],
        [side - 1, side - 1],
        [130, 129],
        [70, 70],
      ] as const) {
        const cells: number[] = []
        for (let y = row * scale; y < Math.min(size, (row + 1) * scale); y++) {
          for (let x = column * scale; x < Math.min(y + 1, (column + 1) * scale); x++)
            cells.push(map[y * size + x] ?? 0)
        }
        expect(maximum[row * side + column]).toBe(Math.max(...cells))
        const expected = cells.reduce((sum, p) => sum + p, 0) / cells.length
        expect(mean[row * side + column]).toBeCloseTo(expected, 3)
      }
    }
  })
})

describe('tokens that the model generates', () => {
  it.each([12, 190])('after %i have rows like those of a prompt that ends with them', async (length) => {
    const got = await capture({ ...plain, tokenIds: tokensOf(length), generatedTokens: 9, layers: [0, 2] }, { dataDir })
    const tokens = got.prompts[0]?.tokens ?? []
    expect(tokens.map(({ generated }) => generated)).toEqual([
      ...Array.from({ length }, () => false),
      ...Array.from({ length: 9 }, () => true),
    ])
    const ids = tokens.map(({ id }) => id)
    const again = await capture({ ...plain, tokenIds: ids, layers: [0, 2] }, { dataDir })
    const rounding = length > 128 ? 5e-4 : 1e-5
    for (const { layer, head, size } of got.heads) {
      expect(size).toBe(length + 9)
      const [made, given] = [levelOf(got, { layer, head }), levelOf(again, { layer, head })]
      expect(largestDifference(made, given)).toBeLessThan(rounding)
    }
    expect(got.order.indexOf('attentionPrompts')).toBeLessThan(got.order.indexOf('attentionHeads'))
  })
})

describe('a capture that memory splits into passes', () => {
  it('gives the maps of one pass, and the tokens that the first pass generated', async () => {
    const { checkpoint, config } = await openSynthetic(source.synthetic, dataDir)
    const layers = [0, 1, 2]
    const size = { config, layers, heads: 4, storedHeads: 4, tokens: 145, width: 2, generates: true } as const
    const run = async (budget: number) => {
      const maps = new Map<string, number[]>()
      const passes: CapturePasses = {
        ...{ checkpoint, config, name: 'tiny', threads: 1, heads: null },
        ...{ plan: planCapture(size, budget), prompts: [tokensOf(140), tokensOf(9)], generatedTokens: 5 },
        provider: 'cpu',
        type: 'float16',
      }
      const told: [number, string][] = []
      const sequences = await runPasses(
        passes,
        {
          rows(prompt, layer, { probabilities, queries, keys, heads }) {
            for (let head = 0; head < heads; head++) {
              const of = `${prompt} ${layer} ${head}`
              const rows = probabilities.subarray(head * queries * keys, (head + 1) * queries * keys)
              // Rows are kept without what lies above the diagonal, so that chunks of any length give the same list.
              const causal = [...rows].filter((_, cell) => cell % keys <= keys - queries + Math.floor(cell / keys))
              maps.set(of, [...(maps.get(of) ?? []), ...causal])
            }
          },
        },
        async (fraction, message) => void told.push([fraction, message]),
      )
      return { maps, sequences, told, passes: passes.plan.passes.length }
    }
    const [one, several] = [await run(1e9), await run(1)]
    expect([one.passes, several.passes]).toEqual([1, 3])
    expect(several.sequences).toEqual(one.sequences)
    expect(several.sequences.map((tokens) => tokens.length)).toEqual([145, 14])
    expect([...several.maps.keys()].toSorted()).toEqual([...one.maps.keys()].toSorted())
    for (const [of, map] of one.maps) expect(largestDifference(several.maps.get(of) ?? [], map)).toBeLessThan(5e-4)
    const fractions = several.told.map(([fraction]) => fraction)
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b))
    expect(several.told.at(-1)?.[1]).toBe('tiny, pass 3 of 3: prompt 2 of 2, 14 of 14 tokens')
  })
})

describe('diversity', () => {
  const diversityOf = z.object({
    all: z.object({ value: z.number(), interval: z.unknown() }),
    withinGroups: z.object({ value: z.number() }),
    shuffledBaseline: z.object({ value: z.number() }).nullable(),
    randomWeightsBaseline: z.object({ value: z.number(), interval: z.unknown() }).nullable(),
    heads: z.array(z.object({ head: z.number(), kvHead: z.number() })),
  })
  const words = { ...source.synthetic.overrides, vocab_size: 50_257, n_layer: 2 }
  const wordy = [{ source: { synthetic: { ...source.synthetic, overrides: words } }, threads: 1 }]

  it("is measured over kvscope's own prompts where none are given, beside random weights of the next seed", async () => {
    const got = await capture({ subjects: wordy, heads: [0] }, { dataDir })
    expect(got.prompts.map(({ text }) => text)).toEqual(diversityPrompts.map(({ text }) => text))
    expect(got.prompts[0]?.tokens.map(({ text }) => text).join('')).toBe(diversityPrompts[0]?.text)
    expect(new Set(got.heads.map(({ head }) => head))).toEqual(new Set([0]))
    expect(got.diversity.map(({ layer }) => layer)).toEqual([1])
    const diversity = diversityOf.parse(got.diversity[0]?.values)
    expect(diversity.heads.map(({ kvHead }) => kvHead)).toEqual([0, 0, 1, 1])
    expect(diversity.all.interval).not.toBeNull()
    expect(diversity.randomWeightsBaseline?.interval).not.toBeNull()

    const next = { ...source.synthetic, seed: 4, overrides: words }
    const other = await capture(
      { subjects: [{ source: { synthetic: next }, threads: 1 }], baselines: false },
      { dataDir },
    )
    const random = diversityOf.parse(other.diversity[0]?.values)
    expect(diversity.randomWeightsBaseline).toEqual(random.all)
    expect(random.randomWeightsBaseline).toBeNull()
    expect(random.shuffledBaseline).toBeNull()
    expect(got.fractions).toEqual(got.fractions.toSorted((a, b) => a - b))
    expect(got.messages.at(-1)).toBe('done')
  })

  it.each([0, 3])(
    'draws random weights of the layers up to the last one captured, with %i tokens generated',
    async (generatedTokens) => {
      const ownDir = mkdtempSync(join(dataDir, 'own-'))
      const fields = { tokenIds: tokensOf(20), layers: [1, 0], generatedTokens }
      const { diversity, prompts } = await capture({ subjects, ...fields }, { dataDir: ownDir })
      const drawn = readdirSync(join(ownDir, 'weights')).filter((folder) => folder.includes('-seed4-'))
      expect(drawn).toEqual([expect.stringContaining('-layers2-')])

      // The same tokens through the whole of that model.
      const tokenIds = prompts[0]?.tokens.map(({ id }) => id)
      const next = [{ source: { synthetic: { ...source.synthetic, seed: 4 } }, threads: 1 }]
      const whole = await capture({ subjects: next, layers: [0, 1], tokenIds, baselines: false }, { dataDir })
      const random = diversity.map(({ values }) => diversityOf.parse(values).randomWeightsBaseline?.value ?? 0)
      const expected = whole.diversity.map(({ values }) => diversityOf.parse(values).all.value)
      expect(largestDifference(random, expected)).toBeLessThan(1e-6)
    },
  )

  it('is said to carry no interval over one prompt, and maps of synthetic weights to show chance', async () => {
    const { outcome, diversity } = await capture({ subjects, tokenIds: tokensOf(40), baselines: false }, { dataDir })
    expect(outcome.warnings.map(({ code }) => code)).toEqual(['SYNTHETIC_WEIGHTS', 'NO_INTERVAL'])
    expect(diversityOf.parse(diversity[0]?.values).all.interval).toBeNull()
  })

  it('is left out with the reason where one token has nothing to choose from', async () => {
    const { outcome, diversity, heads } = await capture({ subjects, tokenIds: [5] }, { dataDir })
    expect(outcome.warnings.map(({ code }) => code)).toContain('NO_DIVERSITY')
    expect(diversity).toEqual([])
    expect(heads).toHaveLength(4)
  })
})

describe('a checkpoint that holds NaN', () => {
  let subjects: object[]
  beforeAll(async () => {
    const path = join(dataDir, 'damaged')
    cpSync(resolve(import.meta.dirname, '../../golden/gpt2/heads6'), path, { recursive: true })
    const query = (await openCheckpoint(path)).tensors.get('h.1.attn.c_attn.weight')
    if (query?.dtype !== 'F32') throw new Error('no float32 tensor')
    const file = await open(query.file, 'r+')
    await file.write(new Uint8Array(Float32Array.of(Number.NaN).buffer), 0, 4, query.offset)
    await file.close()
    subjects = [{ source: { local: { path } }, threads: 1 }]
  })
  const captured = (fields: object) =>
    capture({ subjects, tokenIds: [1, 2, 3], diversity: false, ...fields }, { dataDir, modelRoots: [dataDir] })

  it('gives no maps of the layer that it is in, compared or not', async () => {
    for (const diversity of [false, true]) {
      await expect(captured({ layers: [1], diversity })).rejects.toMatchObject({
        code: 'CHECKPOINT_INVALID',
        message: expect.stringMatching(/layer 1, prompt 0, head 0 .* query 0: .* is NaN/),
      })
    }
  })

  it('goes on with no token, for the likeliest is none, while the layers below have their maps', async () => {
    expect((await captured({ layers: [0] })).heads).toHaveLength(6)
    await expect(captured({ layers: [0], generatedTokens: 2 })).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: 'the next token cannot be chosen: a logit is NaN',
    })
  })
})

describe('a run on attention maps is refused', () => {
  const wordy = (n_positions: number) => ({ ...overrides, vocab_size: 50_257, n_positions })

  it('where a prompt with what is to be generated is longer than the context, before a weight is loaded', async () => {
    const fields = {
      subjects: [{ source: { synthetic: { ...source.synthetic, overrides: wordy(16) } } }],
      prompts: ['a short one', 'one two three four five six seven eight nine ten'],
      generatedTokens: 7,
    }
    const refused = capture(fields, { dataDir })
    await expect(refused).rejects.toMatchObject({
      code: 'CONTEXT_EXCEEDED',
      message: expect.stringMatching(/prompt 1 has 10 tokens and 7 to generate.* context of 16/),
    })
  })

  it('where its maps would take more than a run may store, with the arithmetic', async () => {
    const refused = capture({ ...plain, tokenIds: tokensOf(300) }, { dataDir, maxResultBytes: 100_000 })
    await expect(refused).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      message: expect.stringMatching(
        /1 layers x 4 heads x 1 prompts .* 300 tokens: [\d,]+ B a map, F16 in 2 levels .* are [\d,]+ B, .* store 100,000 B/,
      ),
      hint: expect.stringContaining('KVSCOPE_MAX_RESULT_BYTES'),
    })
  })
})
