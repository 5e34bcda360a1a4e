import { mkdtempSync, rmSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { kvCacheBytes } from '../../src/architecture/kv-bytes.ts'
import { readModelConfig } from '../../src/architecture/read-config.ts'
import { openCheckpoint } from '../../src/checkpoints/open.ts'
import { attend } from '../../src/models/attention.ts'
import { convertKvHeads } from '../../src/models/convert.ts'
import { buildDecoder } from '../../src/models/decoder.ts'
import type { PoolMethod } from '../../src/models/head-pooling.ts'
import { attendLatent } from '../../src/models/mla.ts'
import { families, findFamily } from '../../src/models/registry.ts'
import { loadModel } from '../../src/models/runner.ts'
import { describeFidelity, type FidelityRow, fidelityPage, staleLines } from '../support/fidelity-page.ts'
import {
  computeBatch,
  errorShares,
  firstTokens,
  type PlacedCase,
  readAllCases,
  readExpected,
  readVersions,
} from '../support/golden.ts'
import { type Seen, withBlocks } from '../support/mutated-blocks.ts'
import { type Mutation, mutationsOf } from '../support/mutations.ts'

vi.mock(import('../../src/models/rope.ts'), async (real) => (await watch()).watchRope(await real()))
vi.mock(import('../../src/models/norm.ts'), async (real) => (await watch()).watchNorms(await real()))
vi.mock(import('../../src/models/attention.ts'), async (real) => (await watch()).watchAttention(await real()))
vi.mock(import('../../src/models/embedding.ts'), async (real) => (await watch()).watchEmbedding(await real()))
vi.mock(import('../../src/models/linear.ts'), async (real) => (await watch()).watchLinear(await real()))
vi.mock(import('../../src/models/experts.ts'), async (real) => (await watch()).watchExperts(await real()))
const watch = vi.hoisted(() => () => import('../support/mutated-blocks.ts'))

/** Share of a tensor's largest magnitude: float32 against transformers in float64 (tools/oracle/float64.py). */
const bound = 1e-5
/** A wrong engine is not near the bound: it misses it by three orders of magnitude, unless the mutation says otherwise. */
const wrongly = 1000

const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-golden-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

/** The checkpoint of a case, with as many K/V heads as the oracle ran it with. */
async function open({ name, folder, kvHeads }: PlacedCase, method: PoolMethod = 'MEAN') {
  const checkpoint = await openCheckpoint(folder)
  const config = readModelConfig(checkpoint.config, name)
  if (kvHeads === null || config.attention.every((shape) => shape.kvHeads === kvHeads)) {
    return { checkpoint, config, pooled: false }
  }
  return { ...(await convertKvHeads(checkpoint, config, { kvHeads, method }, dataDir)), pooled: true }
}

/** A case with what its model asks the shared blocks for, and so how it could be wrong. */
interface OpenedCase extends PlacedCase {
  seen: Seen | null
  mutations: Mutation[]
}

async function look(golden: PlacedCase): Promise<OpenedCase> {
  try {
    const { checkpoint, config, pooled } = await open(golden)
    return await withBlocks(config, {}, async (seen) => {
      const options = { provider: 'cpu', logits: 'all', attention: true, ...watching(seen) } as const
      buildDecoder(findFamily(config), checkpoint, config, options)
      return { ...golden, seen, mutations: mutationsOf(seen, pooled) }
    })
  } catch {
    // Its tests fail and say why.
    return { ...golden, seen: null, mutations: [] }
  }
}

function watching(seen: Seen): { attend: typeof attend; attendLatent: typeof attendLatent } {
  return {
    attend(g, spec, inputs, step) {
      seen.attention.push(spec)
      seen.biased ||= inputs.bias !== undefined
      return attend(g, spec, inputs, step)
    },
    attendLatent(g, spec, inputs, step) {
      seen.latents.push(spec)
      return attendLatent(g, spec, inputs, step)
    },
  }
}

const cases: OpenedCase[] = []
for (const golden of await readAllCases()) cases.push(await look(golden))
const rows: FidelityRow[] = []

it('has goldens of every family that the engine runs', () => {
  const tested = new Set(cases.flatMap(({ seen }) => (seen ? [seen.config.family] : [])))
  expect([...tested].sort()).toEqual(families.map(({ family }) => family).sort())
})

describe.each(cases)('$name with $kvHeads K/V heads', (golden) => {
  const { tokens, other, windows, file, scoreSpan, seen, mutations } = golden
  const found: Omit<FidelityRow, 'seen'> = { golden, errors: [], mutations: [], ownWays: [] }
  if (seen) rows.push({ ...found, seen })

  it('has scores far enough apart that a wrong attention shows', () => {
    expect(scoreSpan).toBeGreaterThan(4)
  })

  it('looks back as far as transformers does', async () => {
    const { config } = await open(golden)
    // A window that holds the whole prompt hides nothing of it.
    const hides = (window: number | null) => (window !== null && window < tokens.length ? window : null)
    expect(config.attention.map(({ window }) => hides(window))).toEqual(windows)
  })

  it('caches as many bytes as the formula says', async () => {
    const { checkpoint, config } = await open(golden)
    const model = await loadModel(checkpoint, config, { provider: 'cpu', threads: 1 })
    const cache = model.createCache()
    await model.forward([tokens.slice(0, -1)], cache)
    await model.forward([tokens.slice(-1)], cache)
    await model.close()
    const bytes = kvCacheBytes(config, { contextLength: tokens.length - 1, bitsPerValue: 32 })
    expect(cache.measuredBytes()).toBe(bytes)
  })

  it.each([
    ['in one piece', [tokens.length], undefined],
    ['in chunks', [5, 4, tokens.length - 9], 'chunked'],
    ['token by token', Array<number>(tokens.length).fill(1), 'stepped'],
  ] as const)(
    'computes the logits, probabilities, keys and values that transformers does, %s',
    async (way, pieces, own) => {
      const { checkpoint, config } = await open(golden)
      const [computed] = await computeBatch(checkpoint, config, [tokens], { pieces })
      const another = own && (await readExpected(file, own))
      if (!computed) throw new Error('nothing was computed')
      const errors = errorShares(computed, another ?? (await readExpected(file)), windows)
      found.errors.push(errors)
      if (another) found.ownWays.push(way)
      for (const [part, share] of Object.entries(errors)) expect(share, part).toBeLessThan(bound)
    },
  )

  it('computes the same of two sequences in one batch, the shorter one filled up behind', async () => {
    const { checkpoint, config } = await open(golden)
    const filled = [...other, ...tokens.slice(other.length)]
    const [first, second] = await computeBatch(checkpoint, config, [tokens, filled])
    const [longer, shorter] = [await readExpected(file), await readExpected(file, 'other')]
    if (!first || !second || !shorter) throw new Error('a sequence is missing')
    const errors = [
      errorShares(first, longer, windows),
      errorShares(firstTokens(second, other.length), shorter, windows, tokens.length),
    ]
    found.errors.push(...errors)
    for (const [part, share] of errors.flatMap((of) => Object.entries(of))) expect(share, part).toBeLessThan(bound)
  })

  it.each(mutations)(
    'fails when $sentence',
    async ({ sentence, attend, attendLatent, blocks = {}, method, ...mutation }) => {
      const { checkpoint, config } = await open(golden, method)
      const wrong = mutation.config ? mutation.config(config) : config
      const [computed] = await withBlocks(wrong, blocks, () =>
        computeBatch(checkpoint, wrong, [tokens], { attend, attendLatent }),
      )
      if (!computed) throw new Error('nothing was computed')
      const { logits, attention } = errorShares(computed, await readExpected(file), windows)
      const error = mutation.attention ? Math.min(logits, attention) : logits
      const least = (mutation.misses ?? wrongly) * bound
      found.mutations.push({ sentence, error, least })
      expect(error).toBeGreaterThan(least)
    },
  )
})

it('is what docs/fidelity.md says', async () => {
  const page = join(import.meta.dirname, '../..', fidelityPage)
  const made = describeFidelity(rows, await readVersions())
  if (process.env.FIDELITY === 'write') await writeFile(page, made)
  expect(staleLines(await readFile(page, 'utf8'), made), 'stale lines: run npm run fidelity').toEqual([])
})
