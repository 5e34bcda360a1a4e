import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readModelConfig } from '../../src/architecture/read-config.ts'
import { openCheckpoint } from '../../src/checkpoints/open.ts'
import type { Attend } from '../../src/models/attention.ts'
import { convertKvHeads } from '../../src/models/convert.ts'
import * as mutations from '../support/attention-mutations.ts'
import { type Computed, compute, errorShares, readCases, readExpected } from '../support/golden.ts'

const folder = resolve(import.meta.dirname, 'falcon')
/** Share of a tensor's largest magnitude: float32 against transformers' float64 (tools/oracle/falcon_cases.py). */
const bound = 1e-5
const wrong = 1000 * bound

const cases = await readCases(folder)

describe.each(cases)('Falcon, $model with $kvHeads K/V heads', ({ model, kvHeads, tokens, expected, scoreSpan }) => {
  const alibi = model === 'falcon_rw'
  let dataDir = ''
  let golden: Computed

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'kvscope-golden-'))
    golden = await readExpected(join(folder, expected))
  })
  afterAll(() => rm(dataDir, { recursive: true, force: true }))

  async function errors({ attend, pieces }: { attend?: Attend; pieces?: readonly number[] } = {}) {
    const stored = await openCheckpoint(join(folder, model))
    const conversion = { kvHeads, method: 'MEAN' } as const
    const { checkpoint, config } = await convertKvHeads(
      stored,
      readModelConfig(stored.config, model),
      conversion,
      dataDir,
    )
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

  const named: [sentence: string, attend: Attend][] = [
    ['the scale is left out', mutations.withoutScale],
    ['the causal mask is left out', mutations.withoutCausalMask],
  ]
  if (kvHeads > 1) named.push(['the fused rows are read as GPT-2 has them', mutations.withPartsSideBySide])
  if (kvHeads === 1) named.push(['query heads stand in another order', mutations.withReversedQueries])
  if (kvHeads === 2) named.push(['query heads go to K/V heads in turn', mutations.withInterleavedGroups])
  if (alibi) {
    named.push(
      ['heads have the slopes of others', mutations.withOtherSlopes],
      ['ALiBi is not scaled with the scores', mutations.withUnscaledAlibi],
      ['ALiBi is added twice', mutations.withAlibiTwice],
    )
  } else {
    const theta = model === 'falcon_11b' ? 500_042 : 10_000
    named.push(['queries and keys are not rotated', mutations.withoutRotation(theta, 12)])
  }
  it.each(named)('fails when %s', async (_, attend) => {
    const { logits, attention } = await errors({ attend })
    expect(Math.min(logits, attention)).toBeGreaterThan(wrong)
  })

  if (alibi) {
    it('fails when ALiBi is exact and not rounded as transformers rounds it', async () => {
      const { logits, attention } = await errors({ attend: mutations.withExactAlibi(12) })
      expect(Math.min(logits, attention)).toBeGreaterThan(50 * bound)
    })
  }
})
