import { describe, expect, it } from 'vitest'
import { headBehaviours } from '../../../src/heads/behaviours.ts'
import { wholeMap } from '../../../src/heads/map-rows.ts'
import { diversityPrompts } from '../../../src/heads/prompts.ts'
import { loadGpt2Encoding } from '../../../src/models/gpt2-encoding.ts'
import { uniformMap } from './maps.ts'

describe('diversityPrompts', () => {
  it('are twelve, and no name or text comes twice', () => {
    expect(diversityPrompts).toHaveLength(12)
    expect(new Set(diversityPrompts.map(({ name }) => name)).size).toBe(12)
    expect(new Set(diversityPrompts.map(({ text }) => text)).size).toBe(12)
  })
  it('have 12 to 60 tokens each in the encoding of GPT-2', async () => {
    const encoding = await loadGpt2Encoding()
    for (const { name, text } of diversityPrompts) {
      const tokens = encoding.encode(text).length
      expect(tokens, name).toBeGreaterThanOrEqual(12)
      expect(tokens, name).toBeLessThanOrEqual(60)
    }
  })
  it('let induction be seen on at least five of them, or its score would have no interval', async () => {
    const encoding = await loadGpt2Encoding()
    const showing = diversityPrompts.filter(({ text }) => {
      const tokens = encoding.encode(text)
      const { induction } = headBehaviours(wholeMap(uniformMap(tokens.length), 1, tokens.length), tokens)
      return induction !== null
    })
    expect(showing.length).toBeGreaterThanOrEqual(5)
  })
})
