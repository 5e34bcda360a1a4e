import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readModelConfig } from '../../src/architecture/read-config.ts'
import { openCheckpoint } from '../../src/checkpoints/open.ts'
import type { Attend } from '../../src/models/attention.ts'
import { withInterleavedGroups, withoutCausalMask, withoutScale } from '../support/attention-mutations.ts'
import { compute, errorShares, readCases, readExpected } from '../support/golden.ts'

const folder = resolve(import.meta.dirname, 'llama')
/** Share of a tensor's largest magnitude: float32 against transformers' float64 (tools/oracle/goldens.py). */
const bound = 1e-5
const wrong = 1000 * bound

const cases = await readCases(folder)

describe.each(cases)('Llama, $model with $kvHeads K/V heads', ({ model, tokens, expected }) => {
  async function errors(attend?: Attend) {
    const checkpoint = await openCheckpoint(join(folder, model))
    const config = readModelConfig(checkpoint.config, model)
    return errorShares(await compute(checkpoint, config, tokens, attend), await readExpected(join(folder, expected)))
  }

  it('computes the logits, probabilities, keys and values that transformers does', async () => {
    for (const [part, share] of Object.entries(await errors())) expect(share, part).toBeLessThan(bound)
  })

  it.each([
    ['the scale', withoutScale],
    ['the causal mask', withoutCausalMask],
  ])('fails when %s is left out', async (_, attend) => {
    const { logits, attention } = await errors(attend)
    expect(Math.min(logits, attention)).toBeGreaterThan(wrong)
  })

  if (model === 'gqa') {
    it('fails when query heads go to K/V heads in turn', async () => {
      const { logits, attention } = await errors(withInterleavedGroups)
      expect(Math.min(logits, attention)).toBeGreaterThan(wrong)
    })
  }
})
