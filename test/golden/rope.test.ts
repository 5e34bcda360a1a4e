import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { readModelConfig } from '../../src/architecture/read-config.ts'
import { type RotarySpec, ropeOf } from '../../src/architecture/rope.ts'
import type { RopeScaling } from '../../src/architecture/rope-scaling.ts'
import { rotaryTable } from '../../src/models/rope.ts'
import { createGraph } from '../../src/onnx/graph.ts'
import { encodeModel } from '../../src/onnx/model-proto.ts'
import { graphOptionsFor } from '../../src/onnx/provider-graphs.ts'
import { openSession } from '../../src/onnx/session.ts'
import { largestDifference } from '../support/golden.ts'

const numbers = z.array(z.number())
const golden = z.object({
  cases: z.array(
    z.object({
      name: z.string(),
      config: z.record(z.string(), z.unknown()),
      tables: z.array(z.object({ position: z.int(), cos: numbers, sin: numbers })),
    }),
  ),
})

const { cases } = golden.parse(JSON.parse(await readFile(join(import.meta.dirname, 'rope.json'), 'utf8')))

type Table = z.infer<typeof golden>['cases'][number]['tables'][number]

/** The largest difference of cosines and sines at the last position of prompts that end where the tables do. */
async function largestErrors(spec: RotarySpec, tables: readonly Table[]): Promise<number[]> {
  const graph = createGraph(graphOptionsFor('cpu'))
  const { cos, sin } = rotaryTable(graph, graph.input('positions', 'int64', ['S']), spec)
  graph.output('cos', cos, 'float32', ['S', spec.width])
  graph.output('sin', sin, 'float32', ['S', spec.width])
  const { bytes, files } = encodeModel(graph.finish())
  const session = await openSession(bytes, { files, provider: 'cpu', threads: 1 })
  const errors: number[] = []
  for (const { position, ...expected } of tables) {
    const positions = { type: 'int64', data: BigInt64Array.from([BigInt(position)]), dims: [1] } as const
    const actual = await session.run({ positions }, ['cos', 'sin'])
    const off = (part: 'cos' | 'sin') => largestDifference([...(actual[part]?.data ?? [])].map(Number), expected[part])
    errors.push(Math.max(off('cos'), off('sin')))
  }
  await session.close()
  return errors
}

describe.each(cases)('Rotary embedding, $name', ({ config, tables }) => {
  // Rotary fields are read alike in every family.
  const spec = ropeOf(readModelConfig({ ...config, model_type: 'llama' }, 'tiny'))
  const { scaling, ...plain } = spec

  it('has the cosines and sines that transformers computes in float32, at positions to 131,071', async () => {
    for (const [index, error] of (await largestErrors(spec, tables)).entries()) {
      const { position = 0 } = tables[index] ?? {}
      // A dynamic base is raised within the graph, where float32 holds the exponent less closely than torch's float64.
      const bound = scaling?.type === 'dynamic' ? Math.max(1e-6, position / 2 ** 27) : 1e-6
      expect(error, `at ${position}`).toBeLessThan(bound)
    }
  })

  it('fails with another base', async () => {
    const other = { ...spec, theta: 1.001 * spec.theta }
    expect(Math.max(...(await largestErrors(other, tables)))).toBeGreaterThan(1e-2)
  })

  if (scaling === undefined) return
  it('fails without the scaling', async () => {
    expect(Math.max(...(await largestErrors(plain, tables)))).toBeGreaterThan(1e-2)
  })

  const mutations: [sentence: string, wrong: RopeScaling][] = []
  if ('factor' in scaling) mutations.push(['another factor', { ...scaling, factor: scaling.factor * 1.01 }])
  if (scaling.type === 'dynamic') mutations.push(['a length that is never reached', { ...scaling, trainedLength: 1e6 }])
  if ('originalLength' in scaling) {
    const originalLength = scaling.originalLength * 3
    mutations.push(['another trained length', { ...scaling, originalLength }])
  }
  if ('attentionFactor' in scaling) {
    mutations.push(['cosines and sines not scaled', { ...scaling, attentionFactor: scaling.attentionFactor + 0.1 }])
  }
  if (scaling.type === 'yarn') mutations.push(['another ramp', { ...scaling, truncate: !scaling.truncate }])
  if (scaling.type === 'llama3') mutations.push(['another band', { ...scaling, highFrequencyFactor: 8 }])
  if (scaling.type === 'longrope') {
    mutations.push(['the short factors at every length', { ...scaling, longFactors: scaling.shortFactors }])
  }
  it.each(mutations)('fails with %s', async (_, wrong) => {
    expect(Math.max(...(await largestErrors({ ...plain, scaling: wrong }, tables)))).toBeGreaterThan(1e-2)
  })
})
