import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readModelConfig } from '../../src/architecture/read-config.ts'
import { openCheckpoint } from '../../src/checkpoints/open.ts'
import type { Attend } from '../../src/models/attention.ts'
import { convertKvHeads } from '../../src/models/convert.ts'
import type { PoolMethod } from '../../src/models/head-pooling.ts'
import {
  withoutCausalMask,
  withoutScale,
  withPartsSideBySide,
  withReversedQueries,
} from '../support/attention-mutations.ts'
import { type Computed, compute, errorShares, readCases, readExpected } from '../support/golden.ts'

const folder = resolve(import.meta.dirname, 'gpt_bigcode')
/**
 * Share of a tensor's largest magnitude: float32 against transformers' float64 (tools/oracle/gpt_bigcode_cases.py), whose
 * softmax of this family is computed in float32 too.
 */
const bound = 1e-5
const wrong = 1000 * bound

const cases = await readCases(folder)

describe.each(cases)(
  'GPT-BigCode, $model with $kvHeads K/V heads',
  ({ model, kvHeads, tokens, expected, scoreSpan }) => {
    let dataDir = ''
    let golden: Computed

    beforeAll(async () => {
      dataDir = await mkdtemp(join(tmpdir(), 'kvscope-golden-'))
      golden = await readExpected(join(folder, expected))
    })
    afterAll(() => rm(dataDir, { recursive: true, force: true }))

    async function errors(options: { attend?: Attend; method?: PoolMethod; pieces?: readonly number[] } = {}) {
      const { attend, method = 'MEAN', pieces } = options
      const stored = await openCheckpoint(join(folder, model))
      const source = readModelConfig(stored.config, model)
      const { checkpoint, config } = await convertKvHeads(stored, source, { kvHeads, method }, dataDir)
      return errorShares(await compute(checkpoint, config, tokens, attend, pieces), golden)
    }

    it.each([
      ['in one piece', [12]],
      ['in chunks', [5, 4, 3]],
      ['token by token', Array(12).fill(1)],
    ])('computes the logits, probabilities, keys and values that transformers does, %s', async (_, pieces) => {
      for (const [part, share] of Object.entries(await errors({ pieces }))) expect(share, part).toBeLessThan(bound)
    })

    it('has scores far enough apart that a wrong attention shows', () => {
      expect(scoreSpan).toBeGreaterThan(4)
    })

    it.each([
      ['the scale is left out', withoutScale],
      ['the causal mask is left out', withoutCausalMask],
      ['query heads stand in another order', withReversedQueries],
    ])('fails when %s', async (_, attend) => {
      const { logits, attention } = await errors({ attend })
      expect(Math.min(logits, attention)).toBeGreaterThan(wrong)
    })

    if (kvHeads > 1) {
      it('fails when the fused rows are read as GPT-2 has them', async () => {
        const { logits, attention } = await errors({ attend: withPartsSideBySide })
        expect(Math.min(logits, attention)).toBeGreaterThan(wrong)
      })
    }

    if (model === 'mha' && kvHeads === 1) {
      it('fails when the one K/V head is the first and not the mean', async () => {
        const { logits, attention, keys, values } = await errors({ method: 'FIRST' })
        expect(Math.min(logits, attention, keys, values)).toBeGreaterThan(wrong)
      })
    }
  },
)
