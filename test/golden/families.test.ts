import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readModelConfig } from '../../src/architecture/read-config.ts'
import { openCheckpoint } from '../../src/checkpoints/open.ts'
import { convertKvHeads } from '../../src/models/convert.ts'
import {
  computeBatch,
  errorShares,
  firstTokens,
  type PlacedCase,
  readAllCases,
  readExpected,
} from '../support/golden.ts'

/** Share of a tensor's largest magnitude: float32 against transformers in float64 (tools/oracle/float64.py). */
const bound = 1e-5

const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-golden-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

/** The checkpoint of a case, with as many K/V heads as the oracle ran it with. */
async function open({ name, folder, kvHeads }: PlacedCase) {
  const checkpoint = await openCheckpoint(folder)
  const config = readModelConfig(checkpoint.config, name)
  return kvHeads === null
    ? { checkpoint, config }
    : convertKvHeads(checkpoint, config, { kvHeads, method: 'MEAN' }, dataDir)
}

const cases = await readAllCases()

it('finds the cases that the oracle wrote', () => {
  expect(cases.map(({ set }) => set)).toEqual(expect.arrayContaining(['falcon', 'gpt2', 'gpt_bigcode', 'llama']))
})

describe.each(cases)('$name with $kvHeads K/V heads', (golden) => {
  const { tokens, other, windows, file, scoreSpan } = golden

  it('has scores far enough apart that a wrong attention shows', () => {
    expect(scoreSpan).toBeGreaterThan(4)
  })

  it('caches and looks back as far as transformers does', async () => {
    const { config } = await open(golden)
    // A window that holds the whole prompt hides nothing of it.
    const hides = (window: number | null) => (window !== null && window < tokens.length ? window : null)
    expect(config.attention.map(({ window }) => hides(window))).toEqual(windows)
  })

  it.each([
    ['in one piece', [tokens.length], undefined],
    ['in chunks', [5, 4, tokens.length - 9], 'chunked'],
    ['token by token', Array<number>(tokens.length).fill(1), 'stepped'],
  ] as const)(
    'computes the logits, probabilities, keys and values that transformers does, %s',
    async (_, pieces, own) => {
      const { checkpoint, config } = await open(golden)
      const [computed] = await computeBatch(checkpoint, config, [tokens], { pieces })
      const expected = (own && (await readExpected(file, own))) ?? (await readExpected(file))
      if (!computed) throw new Error('nothing was computed')
      for (const [part, share] of Object.entries(errorShares(computed, expected, windows))) {
        expect(share, part).toBeLessThan(bound)
      }
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
    for (const [part, share] of errors.flatMap(Object.entries)) expect(share, part).toBeLessThan(bound)
  })
})
