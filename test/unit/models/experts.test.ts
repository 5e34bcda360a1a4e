import { describe, expect, it } from 'vitest'
import type { ModelConfig } from '../../../src/architecture/model-config.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import type { RouterSpec } from '../../../src/models/expert-router.ts'
import { type ExpertsSpec, experts } from '../../../src/models/experts.ts'
import type { ModelBuilder } from '../../../src/models/family.ts'
import { createGraph } from '../../../src/onnx/graph.ts'
import { encodeModel } from '../../../src/onnx/model-proto.ts'
import { openSession } from '../../../src/onnx/session.ts'

const [hiddenSize, inner] = [6, 5]
const config: ModelConfig = readModelConfig(
  {
    model_type: 'llama',
    hidden_size: hiddenSize,
    intermediate_size: inner,
    num_attention_heads: 1,
    num_hidden_layers: 1,
    vocab_size: 3,
  },
  'block',
)

/** Every weight by its name: values that repeat nowhere and follow from nothing but name and place. */
function weightOf(name: string, count: number): Float32Array {
  const spread = name === 'bias' ? 0.5 : 3
  let state = [...name].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 7)
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state / 2 ** 32 - 0.5) * spread
  })
}

const spec = (router: Partial<RouterSpec>, shared = false): ExpertsSpec => {
  const parts = (path: string, width: number) => ({
    gate: `${path}.gate`,
    up: `${path}.up`,
    down: `${path}.down`,
    inner: width,
    bias: false,
  })
  return {
    router: { name: 'gate', experts: 8, chosen: 2, scores: 'softmax', normalized: false, scale: 1, ...router },
    expert: (index) => parts(`expert${index}`, inner),
    ...(shared ? { shared: parts('shared', 2 * inner) } : {}),
  }
}

async function compute(of: ExpertsSpec, x: Float32Array, batch: number, emptyTensors = true) {
  const graph = createGraph({ fusedMatMul: true, emptyTensors })
  const input = graph.input('x', 'float32', ['B', 'S', hiddenSize])
  const none = () => {
    throw new Error('experts look at nothing but their input')
  }
  const builder: ModelBuilder = {
    config,
    graph,
    tokens: input,
    positions: input,
    keyPositions: none,
    attend: none,
    attendLatent: none,
    weight: (name, shape) =>
      graph.floats(
        [
          ...weightOf(
            name,
            shape.reduce((product, size) => product * size, 1),
          ),
        ],
        shape,
      ),
  }
  graph.output('y', experts(builder, graph.at('moe'), input, of), 'float32', ['B', 'S', hiddenSize])
  const session = await openSession(encodeModel(graph.finish()).bytes, { files: [], provider: 'cpu', threads: 1 })
  const feeds = { type: 'float32', data: x, dims: [batch, x.length / hiddenSize / batch, hiddenSize] } as const
  const { y } = await session.run({ x: feeds }, ['y'])
  await session.close()
  if (y?.type !== 'float32') throw new Error('no y')
  return y
}

const times = (matrix: Float32Array, x: readonly number[]) =>
  Array.from({ length: matrix.length / x.length }, (_, row) =>
    x.reduce((sum, value, column) => sum + value * (matrix[row * x.length + column] ?? 0), 0),
  )

function gated(path: string, width: number, x: readonly number[]): number[] {
  const gate = times(weightOf(`${path}.gate.weight`, width * hiddenSize), x)
  const up = times(weightOf(`${path}.up.weight`, width * hiddenSize), x)
  const opened = gate.map((value, index) => (value / (1 + Math.exp(-value))) * (up[index] ?? 0))
  return times(weightOf(`${path}.down.weight`, hiddenSize * width), opened)
}

const best = (values: readonly number[], count: number) =>
  [...values.keys()].sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0)).slice(0, count)

/** The papers' formulas, token by token. */
function reference({ router, shared }: ExpertsSpec, x: readonly number[]): { y: number[]; chosen: number[] } {
  const logits = times(weightOf('gate.weight', router.experts * hiddenSize), x)
  const powers = logits.map((value) => Math.exp(value))
  const total = powers.reduce((sum, value) => sum + value, 0)
  const scores =
    router.scores === 'softmax' ? powers.map((value) => value / total) : powers.map((value) => value / (1 + value))
  const correction = router.correction === undefined ? undefined : weightOf(router.correction, router.experts)
  let eligible = scores.map((score, index) => score + (correction?.[index] ?? 0))
  if (router.groups) {
    const { count, chosen, by } = router.groups
    const size = router.experts / count
    const worth = Array.from({ length: count }, (_, group) => {
      const own = eligible.slice(group * size, (group + 1) * size)
      return best(own, by === 'best' ? 1 : 2).reduce((sum, index) => sum + (own[index] ?? 0), 0)
    })
    const open = best(worth, chosen)
    eligible = eligible.map((value, index) => (open.includes(Math.floor(index / size)) ? value : -Infinity))
  }
  const chosen = best(eligible, router.chosen)
  const sum = router.normalized ? chosen.reduce((all, index) => all + (scores[index] ?? 0), 0) : 1
  const y = new Array<number>(hiddenSize).fill(0)
  const addTo = (values: readonly number[], weight: number) => {
    for (const [index, value] of values.entries()) y[index] = (y[index] ?? 0) + weight * value
  }
  for (const index of chosen) addTo(gated(`expert${index}`, inner, x), (router.scale * (scores[index] ?? 0)) / sum)
  if (shared) addTo(gated('shared', shared.inner, x), 1)
  return { y, chosen }
}

const tokens = (count: number) => weightOf('tokens', count * hiddenSize)

describe('experts', () => {
  it.each([
    ['the best two by a softmax, as they are', spec({})],
    ['the best two, which share the whole', spec({ normalized: true })],
    ['the best three, scaled, beside shared experts', spec({ chosen: 3, scale: 2.5 }, true)],
    ['the best of the best groups', spec({ groups: { count: 4, chosen: 2, by: 'best' }, chosen: 3, scale: 16 })],
    [
      'a sigmoid, corrected for the choice alone, of groups by their best two',
      spec(
        {
          scores: 'sigmoid',
          correction: 'bias',
          groups: { count: 4, chosen: 2, by: 'bestTwo' },
          chosen: 3,
          normalized: true,
          scale: 2.5,
        },
        true,
      ),
    ],
    ['one expert', spec({ chosen: 1 })],
    ['all experts', spec({ chosen: 8 })],
  ])('are chosen and added as the papers have it: %s', async (_, of) => {
    const x = tokens(24)
    const { data, dims } = await compute(of, x, 2)
    expect(dims).toEqual([2, 12, hiddenSize])
    const expected = Array.from({ length: 24 }, (__, token) =>
      reference(of, [...x.subarray(token * hiddenSize, (token + 1) * hiddenSize)]),
    )
    const flat = expected.flatMap(({ y }) => y)
    const largest = Math.max(...flat.map(Math.abs))
    for (const [index, value] of flat.entries())
      expect(Math.abs((data[index] ?? 0) - value) / largest).toBeLessThan(1e-6)
  })

  const full = {
    scores: 'sigmoid',
    correction: 'bias',
    groups: { count: 4, chosen: 2, by: 'bestTwo' },
    chosen: 3,
    normalized: true,
    scale: 2.5,
  } as const
  const { correction: _, ...uncorrected } = full
  const { groups: __, ...ungrouped } = full
  it.each([
    ['a softmax in place of the sigmoid', spec({ ...full, scores: 'softmax' }, true)],
    ['no correction', spec(uncorrected, true)],
    ['no groups', spec(ungrouped, true)],
    ['groups by their best', spec({ ...full, groups: { ...full.groups, by: 'best' } }, true)],
    ['another number of groups', spec({ ...full, groups: { ...full.groups, chosen: 3 } }, true)],
    ['another number of experts', spec({ ...full, chosen: 2 }, true)],
    ['weights as they are', spec({ ...full, normalized: false }, true)],
    ['no scale', spec({ ...full, scale: 1 }, true)],
    ['no shared experts', spec(full)],
  ])('give something else with %s', async (___, other) => {
    const x = tokens(24)
    const [{ data: right }, { data: wrong }] = [await compute(spec(full, true), x, 2), await compute(other, x, 2)]
    const largest = Math.max(...right.map(Math.abs))
    expect(Math.max(...right.map((value, index) => Math.abs(value - (wrong[index] ?? 0)))) / largest).toBeGreaterThan(
      0.01,
    )
  })

  it('are computed alike where a provider takes no empty tensors, each with all tokens', async () => {
    const x = tokens(24)
    const of = spec(full, true)
    const [{ data: right }, { data, dims }] = [await compute(of, x, 2), await compute(of, x, 2, false)]
    expect(dims).toEqual([2, 12, hiddenSize])
    const largest = Math.max(...right.map(Math.abs))
    expect(Math.max(...right.map((value, index) => Math.abs(value - (data[index] ?? 0)))) / largest).toBeLessThan(1e-6)
  })

  it('may be chosen by no token, as most are in decode', async () => {
    const of = spec({})
    const x = tokens(1)
    const { y, chosen } = reference(of, [...x])
    expect(chosen).toHaveLength(2)
    const { data } = await compute(of, x, 1)
    for (const [index, value] of y.entries()) expect(data[index]).toBeCloseTo(value, 5)
  })
})
