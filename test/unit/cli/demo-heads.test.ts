import { describe, expect, it } from 'vitest'
import { headsText } from '../../../src/cli/demo-heads-text.ts'
import { planHeads } from '../../../src/cli/demo-plan.ts'
import { parseSpec } from '../../../src/jobs/spec.ts'
import { plainScreen, sampleLooked } from './sample-heads.ts'

const pictures = { folder: '/data/demo', names: ['attention-MHA-16.png'] }
const flat = (text: string) => text.replaceAll(/\n {2}/g, ' ')
const three = (synthetic: boolean) => [
  sampleLooked('MHA 16', 16, 0.1, synthetic),
  sampleLooked('GQA 4', 4, 0.07, synthetic),
  sampleLooked('MQA 1', 1, 0.04, synthetic),
]

describe("the demo's second part", () => {
  it('lets the sharing of K and V speak where weights are random, and says why distances fall', () => {
    const text = headsText(three(true), pictures, plainScreen)
    expect(text).toMatchSnapshot()
    for (const line of text.split('\n')) expect([...line].length, line).toBeLessThanOrEqual(80)
    for (const said of [
      'MHA 16: 16 heads, 16 panels, no two alike.',
      'K is stored once and read by all 16 heads (largest difference 0): 524.3 kB in place of 8.39 MB of K and V.',
      'Attention maps of random weights show nothing but chance',
      'its weights are 0.25 times as large',
      'GQA 4: heads that share K and V are as far apart as heads that do not',
    ]) {
      expect(flat(text)).toContain(said)
    }
  })

  it('says of real checkpoints how to read the maps, and nothing of chance', () => {
    const text = flat(headsText(three(false), pictures, plainScreen))
    expect(text).toContain('A bright first column is attention to the first token')
    expect(text).not.toContain('chance')
  })
})

describe("the second part's plan", () => {
  const subject = { source: { local: { path: '/models/a' } } }

  it('asks for K and V of layer 0 and the last maps of the prompt of the lecture, without baselines', () => {
    const { weights, attention } = planHeads(subject, 1024, false)
    expect(weights).toMatchObject({ kind: 'WEIGHT_SLICES', input: { subject, layers: [0], projections: ['K', 'V'] } })
    expect(attention).toMatchObject({ kind: 'ATTENTION_MAPS', input: { subject, baselines: false } })
    if (attention.kind !== 'ATTENTION_MAPS') throw new Error('it is a run on attention')
    expect(attention.input.prompts?.[0]).toBe('the quick brown fox jumps over the lazy dog')
    expect(attention.input.prompts).toHaveLength(13)
    for (const { kind, input } of [weights, attention]) {
      const {
        note: _note,
        labels: _labels,
        subject: one,
        ...spec
      } = input as { subject: object } & Record<string, unknown>
      expect(parseSpec({ kind, version: 1, subjects: [one], ...spec })).toMatchObject({ kind })
    }
  })

  it.each([64, 128, 512])('asks a model of %d positions for no text that might not fit, a token a byte', (context) => {
    for (const quick of [false, true]) {
      const { attention } = planHeads(subject, context, quick)
      const prompts = 'prompts' in attention.input ? (attention.input.prompts ?? []) : []
      expect(prompts.length).toBeGreaterThan(0)
      for (const text of prompts) expect(Buffer.byteLength(text)).toBeLessThan(context)
    }
  })
})
