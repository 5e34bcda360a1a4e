import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readModelConfig } from '../../src/architecture/read-config.ts'
import { openCheckpoint } from '../../src/checkpoints/open.ts'
import type { Attend } from '../../src/models/attention.ts'
import { convertKvHeads } from '../../src/models/convert.ts'
import type { PoolMethod } from '../../src/models/head-pooling.ts'
import { withInterleavedGroups, withoutCausalMask, withoutScale } from '../support/attention-mutations.ts'
import { type Computed, compute, errorShares, readCases, readExpected } from '../support/golden.ts'

const folder = resolve(import.meta.dirname, 'gpt2')
/** Share of a tensor's largest magnitude: float32 against transformers' float64 (tools/oracle/goldens.py). */
const bound = 1e-5
/** A wrong engine is not near the bound: it misses it by three orders of magnitude. */
const wrong = 1000 * bound

const cases = await readCases(folder)

describe.each(cases)('GPT-2 of $model with $kvHeads K/V heads', ({ model, kvHeads, tokens, expected, scoreSpan }) => {
  let dataDir = ''
  let golden: Computed

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'kvscope-golden-'))
    golden = await readExpected(join(folder, expected))
  })
  afterAll(() => rm(dataDir, { recursive: true, force: true }))

  async function errors({ attend, method = 'MEAN' }: { attend?: Attend; method?: PoolMethod } = {}) {
    const checkpoint = await openCheckpoint(join(folder, model))
    const config = readModelConfig(checkpoint.config, model)
    const narrow = await convertKvHeads(checkpoint, config, { kvHeads, method }, dataDir)
    return errorShares(await compute(narrow.checkpoint, narrow.config, tokens, attend), golden)
  }

  it('computes the logits, probabilities, keys and values that transformers does', async () => {
    for (const [part, share] of Object.entries(await errors())) expect(share, part).toBeLessThan(bound)
  })

  it('has scores far enough apart that a wrong attention shows', () => {
    expect(scoreSpan).toBeGreaterThan(4)
  })

  it('fails when the scale is left out', async () => {
    const { logits, attention } = await errors({ attend: withoutScale })
    expect(Math.min(logits, attention)).toBeGreaterThan(wrong)
  })

  it('fails when the causal mask is left out', async () => {
    const { logits, attention } = await errors({ attend: withoutCausalMask })
    expect(Math.min(logits, attention)).toBeGreaterThan(wrong)
  })

  const heads = model === 'heads6' ? 6 : 5
  // With one K/V head, or one for each query head, there is only one way to map them.
  if (kvHeads > 1 && kvHeads < heads) {
    it('fails when query heads go to K/V heads in turn', async () => {
      const { logits, attention } = await errors({ attend: withInterleavedGroups })
      expect(Math.min(logits, attention)).toBeGreaterThan(wrong)
    })
  }

  if (kvHeads < heads) {
    it('fails when a group keeps its first head and not the mean', async () => {
      const { logits, attention, keys, values } = await errors({ method: 'FIRST' })
      expect(Math.min(logits, attention, keys, values)).toBeGreaterThan(wrong)
    })
  }
})
