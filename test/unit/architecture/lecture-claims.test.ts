import { describe, expect, it } from 'vitest'
import { attentionFlops } from '../../../src/architecture/attention-flops.ts'
import { auditLecture } from '../../../src/architecture/lecture-claims.ts'
import { readLectureModels } from '../../../src/architecture/lecture-facts.ts'
import { misreadAsMqa } from '../../../src/architecture/lecture-falcon-claims.ts'
import { withKvHeads } from '../../../src/architecture/pool-kv-heads.ts'
import { trialCost } from '../../../src/architecture/step-cost.ts'

const audit = auditLecture()

function claimOf(words: string) {
  const found = audit.filter(({ claim }) => claim.includes(words))
  expect(
    found.map(({ claim }) => claim),
    words,
  ).toHaveLength(1)
  return found[0] ?? { verdict: null, assumption: null, recomputed: '', seeItWith: '' }
}

describe("the audit of the lecture's claims", () => {
  it('finds the contexts and units under which the sizes hold', () => {
    expect(claimOf('4.5 GB')).toMatchObject({ verdict: 'HOLDS_IF', assumption: expect.stringContaining('GiB') })
    expect(claimOf('4.5 GB').recomputed).toMatch(/= 4\.83 GB = 4\.50 GiB; .* 2,048 9\.66 GB = 9\.00 GiB/)
    expect(claimOf('48 MB').recomputed).toMatch(/48\.0 MiB; .* 96\.0 MiB/)
    expect(claimOf('from 400 GB').recomputed).toMatch(/399\.8 GB .* 131,072 tokens 524\.0 GB/)
    expect(claimOf('we go to 3 GB').recomputed).toMatch(/3\.12 GB .* 131,072 tokens 4\.09 GB/)
    expect(claimOf('by 1/128').recomputed).toContain('3,997,696 bytes a token as MHA, 31,232 as MQA: 1/128')
    expect(claimOf('factor of 100').recomputed).toContain('= 96,')
    expect(claimOf('latent attention').recomputed).toMatch(/70,272 bytes a token: 7\.03 GB .* 2\.25 times .* 1\/57 of/)
    expect(claimOf('128 attention heads').recomputed).toBe('V2 has 128 query heads and V3 128; V2-Lite has 16')
  })

  it("calls MQA's formula by its name", () => {
    expect(claimOf('(GQA): l.b.h.s.2.2')).toMatchObject({ verdict: 'FAILS' })
    expect(claimOf('Multi-Head Attention: l.b.n.h.s.2.2').recomputed).toContain('= 4,831,838,208 bytes')
  })

  it('says that the Falcon has multi-head attention and caches twice as much', () => {
    const { verdict, recomputed } = claimOf('falcon 1 billion')
    expect(verdict).toBe('FAILS')
    expect(recomputed).toContain('is MHA: 32 query heads and 32 K/V heads in 24 layers')
    expect(recomputed).toContain("196,608 bytes a token, 2 times gpt2-medium's 98,304")
    expect(claimOf('355 million')).toMatchObject({ verdict: 'HOLDS', recomputed: expect.stringContaining('354.8 M') })
  })

  it('finds whose matrices the "shared" ones are', () => {
    expect(misreadAsMqa({ heads: 32, kvHeads: 32, headDim: 64 })).toEqual([
      { takenFor: 'K', rows: [2048, 2111], really: { projection: 'V', head: 10 } },
      { takenFor: 'V', rows: [2112, 2175], really: { projection: 'Q', head: 11 } },
    ])
    expect(claimOf('key matrices for head zero').recomputed).toMatch(/rows 2048\.\.2111 .* head 10's V$/)
    expect(claimOf('share the same value matrices').recomputed).toMatch(/rows 2112\.\.2175 .* head 11's Q$/)
  })

  it('computes what the two times say, and what they cannot', () => {
    expect(claimOf('40% improvement')).toMatchObject({ verdict: 'FAILS' })
    expect(claimOf('40% improvement').recomputed).toContain('2.53 times faster, 60 % less time')
    expect(claimOf('saving less in the memory')).toMatchObject({ verdict: 'FAILS' })
    expect(claimOf('saving less in the memory').recomputed).toContain('reads no cache')
    expect(claimOf('inference time for multiquery attention is').recomputed).toContain('both MHA')
  })

  it('counts fewer operations for keys and values alone: every query head still meets every key', () => {
    const { gpt2Medium } = readLectureModels()
    const [mha, mqa] = [gpt2Medium, withKvHeads(gpt2Medium, 1)].map((config) => attentionFlops(config, 9))
    // 24 layers, 2 projections, 2 operations for each of 9 x 1024 x 1024 products
    expect(mha?.keysAndValues).toBe(24 * 2 * 2 * 9 * 1024 * 1024)
    expect(mqa).toEqual({ ...mha, keysAndValues: (mha?.keysAndValues ?? 0) / 16 })
    const whole = [gpt2Medium, withKvHeads(gpt2Medium, 1)].map(
      (config) =>
        trialCost(config, { depth: 0, promptTokens: 9, generatedTokens: 0, batch: 1 }, { tokensPerStep: 9 }).flops,
    )
    expect((whole[0] ?? 0) - (whole[1] ?? 0)).toBe((mha?.keysAndValues ?? 0) - (mqa?.keysAndValues ?? 0))
    expect(claimOf('less number of computations')).toMatchObject({ verdict: 'HOLDS_IF' })
  })

  it('holds the times against what an A100 and a T4 need at the least', () => {
    // 1.415 GB, all but the table of positions, and 5.246 GB at 1,555 GB/s and at 320
    expect(claimOf('saving in the memory').recomputed).toMatch(
      /at least 910 µs .* 3\.37 ms .* 1,555 GB\/s .* 1,780 times .* 190 times/,
    )
    expect(claimOf('switch to a T4').recomputed).toMatch(/6\.67 GB .* 4\.4\d ms and 16\.\d ms at a T4's 320 GB\/s/)
  })

  it('names a condition exactly where a claim needs one, and a way to see each', () => {
    expect(audit.length).toBeGreaterThanOrEqual(25)
    for (const { claim, assumption, verdict, recomputed, seeItWith } of audit) {
      expect(assumption !== null, claim).toBe(verdict === 'HOLDS_IF')
      expect(recomputed, claim).not.toMatch(/NaN|undefined|null|Infinity/)
      expect(seeItWith, claim).toMatch(/^(kvscope |query )/)
    }
    expect(new Set(audit.map(({ claim }) => claim)).size).toBe(audit.length)
  })
})
