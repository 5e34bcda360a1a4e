import { describe, expect, it } from 'vitest'
import { lecturePrompt } from '../../../src/architecture/lecture-facts.ts'
import { lectureSubjects, planLecture } from '../../../src/cli/lecture/lecture-plan.ts'
import { parseSpec } from '../../../src/jobs/spec.ts'

const full = { gpt2: 1024, falcon: 2048, pair: 4096 }

describe("the plan of the lecture's experiment", () => {
  it('does first what the lecture did: each model once, cold, in its order', () => {
    const { asItWas } = planLecture({}, full)
    expect(asItWas).toMatchObject({ blocks: 1, order: 'GIVEN', warmUp: false, prompt: lecturePrompt, tests: [] })
    const presets = asItWas.subjects.map(({ source }) => source.synthetic?.preset)
    expect(presets).toEqual(['gpt2-medium', 'falcon-rw-1b'])
  })

  it('then times the same two interleaved, warm and at depth, and one model with its K/V heads pooled over depths', () => {
    const { asItWas, asItShouldBe, honestPair } = planLecture({}, full)
    expect(asItShouldBe.subjects).toEqual(asItWas.subjects)
    expect(asItShouldBe.order).toBeUndefined()
    expect(asItShouldBe.tests?.map(({ depth }) => depth)).toEqual([9, 512])
    const [own, pooled] = honestPair.subjects
    expect(pooled).toEqual({ ...own, name: 'MQA', convert: { kvHeads: 1 } })
    expect(honestPair.sweep).toEqual({ axis: 'DEPTH', values: [512, 1024, 2048, 4000] })
  })

  it('reads the folders that are named, within the positions that their models have', () => {
    const options = { gpt2: '/models/gpt2-medium', falcon: '/models/falcon' }
    const contexts = { gpt2: 1024, falcon: 2048, pair: 1024 }
    const { gpt2, falcon, pair } = lectureSubjects(options)
    expect([gpt2, falcon, pair].map(({ source }) => source.local?.path)).toEqual([
      '/models/gpt2-medium',
      '/models/falcon',
      '/models/gpt2-medium',
    ])
    expect(planLecture(options, contexts).honestPair.sweep?.values).toEqual([127, 255, 510, 1020])
  })

  it('asks for what a spec may hold, whatever the models and however few positions they have', () => {
    for (const small of [undefined, true] as const) {
      for (const context of [16, 128, 1024, 4096]) {
        const contexts = { gpt2: context, falcon: context, pair: context }
        const plan = planLecture(small === undefined ? {} : { small }, contexts)
        for (const part of [plan.asItWas, plan.asItShouldBe, plan.honestPair]) {
          const { note: _, labels: __, ...rest } = part
          expect(() => parseSpec({ kind: 'BENCHMARK', version: 1, ...rest })).not.toThrow()
          const deepest = Math.max(
            0,
            ...(part.sweep?.values ?? []),
            ...(part.tests ?? []).map(({ depth }) => depth ?? 0),
          )
          expect(deepest + 4).toBeLessThanOrEqual(context)
        }
      }
    }
  })

  it('looks into both models as the lecture does: 50 rows of W_K and W_V of layer 0, and its prompt first', () => {
    for (const { weights, attention } of planLecture({ small: true }, full).heads) {
      expect(weights).toMatchObject({ layers: [0], rows: 50 })
      expect(weights.projections).toEqual(expect.arrayContaining(['K', 'V']))
      expect(attention.prompts?.[0]).toBe(lecturePrompt)
    }
  })
})
