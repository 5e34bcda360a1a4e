import { describe, expect, it } from 'vitest'
import { attentionReport } from '../../../src/cli/attention-report.ts'
import { concludeDiversity } from '../../../src/cli/diversity-text.ts'
import { weightReport } from '../../../src/cli/weight-report.ts'
import { createStyle, stripStyle } from '../../../src/render/style.ts'
import { estimate, plainScreen, sampleAttention, sampleDiversity, sampleWeights } from './sample-heads.ts'

const widest = (text: string) => Math.max(...text.split('\n').map((line) => [...line].length))

describe('a run on weights at the command line', () => {
  it('paints a matrix that all heads read once, under one bracket, and says what that saves', () => {
    const { run, painted } = sampleWeights(1)
    const text = weightReport({ run, painted: painted.slice(0, 1), perHead: false }, plainScreen)
    expect(text).toMatchSnapshot()
    expect(text.match(/stored once\n/g)).toHaveLength(1)
    expect(text.replaceAll(/\n {2}/g, ' ')).toContain('262.1 kB in place of 4.19 MB')
  })

  it.each([16, 4, 1])('fits 80 columns with %d K/V heads, with and without one view a head', (kvHeads) => {
    for (const perHead of [false, true]) {
      const sample = sampleWeights(kvHeads)
      expect(widest(weightReport({ ...sample, perHead }, plainScreen))).toBeLessThanOrEqual(80)
    }
  })

  it('names for each head its K/V head, who shares it, and the largest difference, where that is asked for', () => {
    const { run, painted } = sampleWeights(4)
    const text = weightReport({ run, painted: painted.slice(0, 1), perHead: true }, plainScreen)
    expect(text).toMatch(/^ +5 +1 {2}4, 6-7 +0 /m)
    expect(text).not.toContain('once')
  })

  it('tells matrices that are all different from such that are shared', () => {
    const { run, painted } = sampleWeights(16, false)
    const text = weightReport({ run, painted, perHead: false }, plainScreen).replaceAll(/\n {2}/g, ' ')
    expect(text).toContain('16 heads, 16 matrices (4.19 MB), no two alike')
    expect(text).toContain('Not shown: whether heads with different matrices act differently')
    expect(text).not.toContain('SYNTHETIC')
  })

  it('says the same in colours, and paints', () => {
    const sample = sampleWeights(4)
    const coloured = weightReport(
      { ...sample, perHead: false },
      { ...plainScreen, style: createStyle(true), colours: 'truecolor' },
    )
    expect(coloured).toContain('\u001b[38;2;')
    expect(stripStyle(coloured)).toContain('▀')
    expect(widest(stripStyle(coloured))).toBeLessThanOrEqual(80)
  })
})

describe('a run on attention at the command line', () => {
  it('paints all heads of a layer under the K/V heads they read, with the distances beside their baselines', () => {
    const text = attentionReport(sampleAttention(4), plainScreen)
    expect(text).toMatchSnapshot()
    expect(widest(text)).toBeLessThanOrEqual(80)
  })

  it('makes any byte of a prompt visible, and cuts a long one', () => {
    const { run, painted } = sampleAttention(1)
    const prompts = run.prompts.map((prompt) => ({ ...prompt, text: `\u001b[31mred\u202e ${'long '.repeat(100)}` }))
    const text = attentionReport({ run: { ...run, prompts }, painted }, plainScreen)
    expect(text).toContain('\\x1b[31mred\\u202e')
    expect(text).not.toContain('\u001b')
    expect(text).toContain('…')
  })

  it('says of random weights that their maps show nothing but chance', () => {
    const said = (synthetic: boolean) =>
      attentionReport(sampleAttention(1, { synthetic }), plainScreen).replaceAll(/\n {2}/g, ' ')
    expect(said(true)).toContain('attention maps of random weights show nothing but chance')
    expect(said(false)).not.toContain('nothing but chance')
    expect(said(false)).toContain('Not shown: what a head does with what it reads')
  })
})

describe('what distances of heads are taken to say', () => {
  it('sets them against their baselines only where intervals do not meet', () => {
    expect(concludeDiversity(sampleDiversity(4))[0]).toBe(
      'Layer 23: two heads are 0.40 apart on average; less than over shuffled rows (0.55), so they look at common keys; more than with random weights (0.05).',
    )
    const near = sampleDiversity(4, { shuffledBaseline: estimate(0.41), randomWeightsBaseline: estimate(0.39) })
    expect(concludeDiversity(near)[0]).toContain('not to be told from shuffled rows (0.41); not to be told from random')
  })

  it('claims nothing where too few prompts give no interval', () => {
    const few = sampleDiversity(4, {
      all: estimate(0.4, null),
      betweenMinusWithin: estimate(0.12, null),
      positionBaseline: estimate(0.2, null),
      atPositions: estimate(0.35, null),
    })
    expect(concludeDiversity(few)).toEqual([
      'Layer 23: two heads are 0.40 apart on average, without an interval: too few prompts to set it against anything.',
      'Heads that share K and V against those that do not: 0.30 within a group, 0.42 between groups, without an interval.',
    ])
  })

  it.each([
    [4, estimate(0.12), 'look more alike than heads that do not'],
    [4, estimate(-0.12), 'look less alike than heads that do not'],
    [4, estimate(0, 0.1), 'look no more alike than others'],
    [16, null, 'Each head has a K and a V of its own'],
    [1, null, 'All heads read the one K and V'],
  ])('with %d K/V heads and a difference of %o says that they %s', (kvHeads, betweenMinusWithin, said) => {
    expect(concludeDiversity(sampleDiversity(kvHeads, { betweenMinusWithin })).join('\n')).toContain(said)
  })

  it('asks whether position alone sets heads apart', () => {
    expect(concludeDiversity(sampleDiversity(4), true)).toContain(
      'All heads read the one latent; each makes a K and a V of its own of it.',
    )
    expect(concludeDiversity(sampleDiversity(1)).at(-1)).toContain('The text sets heads apart by more')
    const alike = sampleDiversity(1, { positionBaseline: estimate(0.35) })
    expect(concludeDiversity(alike).at(-1)).toContain('Where heads look by position explains')
  })
})
