import { familyOf } from '../../src/architecture/families.ts'
import type { ModelConfig } from '../../src/architecture/model-config.ts'
import type { Attend } from '../../src/models/attention.ts'
import type { PoolMethod } from '../../src/models/head-pooling.ts'
import type { AttendLatent } from '../../src/models/mla.ts'
import { attendLatent } from '../../src/models/mla.ts'
import type { GraphBuilder, Value } from '../../src/onnx/graph.ts'
import { add, gather, multiply, rmsNormalization } from '../../src/onnx/ops.ts'
import * as attention from './attention-mutations.ts'
import { lastPart, type Seen, type WrongBlocks } from './mutated-blocks.ts'

/** One way in which our code could be wrong. A golden that it passes proves nothing about that. */
export interface Mutation {
  /** completes "fails when ..." */
  sentence: string
  attend?: Attend
  attendLatent?: AttendLatent
  blocks?: WrongBlocks
  config?: (config: ModelConfig) => ModelConfig
  method?: PoolMethod
  /** whether attention has to be wrong as well, and not the logits alone */
  attention?: boolean
  /** how many times the bound the error has to be at least; a thousand unless said */
  misses?: number
}

/**
 * Every mutation that speaks of something the model does: what it asked the shared blocks for decides, so that a new
 * family has its own without a line here.
 */
export function mutationsOf(seen: Seen, pooled: boolean): Mutation[] {
  return [
    ...ofScores(seen),
    ...ofHeads(seen, pooled),
    ...ofWindows(seen),
    ...ofBiases(seen),
    ...ofPositions(seen),
    ...ofNorms(seen),
    ...ofProjections(seen),
    ...ofExperts(seen),
    ...ofFamily(seen),
  ]
}

/** More than one layer's specs may differ: one that has it is enough. */
const some = (values: readonly unknown[]) => values.some((value) => value !== undefined)

function ofScores({ attention: specs, latents, capped }: Seen): Mutation[] {
  const rescaled = (scale: number, width: number) => (scale === 1 ? 1 / Math.sqrt(width) : 1)
  const latent =
    (changed: Partial<Parameters<AttendLatent>[1]>): AttendLatent =>
    (g, spec, inputs, step) =>
      attendLatent(g, { ...spec, ...changed }, inputs, step)
  return [
    ...(specs.length > 0
      ? [
          {
            sentence: specs[0]?.scale === 1 ? 'scores are scaled' : 'the scale of scores is left out',
            attend: attention.scaled((spec) => rescaled(spec.scale, spec.keyDim)),
            attention: true,
          },
          { sentence: 'the causal mask is left out', attend: attention.withoutCausalMask, attention: true },
        ]
      : []),
    ...(latents.length > 0
      ? [
          { sentence: 'the scale of scores is left out', attendLatent: latent({ scale: 1 }), attention: true },
          {
            sentence: 'the causal mask is left out',
            attendLatent: ((g, spec, inputs, step) =>
              attendLatent(g, spec, inputs, { ...step, mask: g.floats([0]) })) satisfies AttendLatent,
            attention: true,
          },
        ]
      : []),
    ...(some(specs.map(({ softCap }) => softCap))
      ? [{ sentence: 'the cap on scores is left out', attend: attention.withoutCap, attention: true }]
      : []),
    ...(capped
      ? [{ sentence: 'the cap on logits is left out', blocks: { softCap: (_, x) => x } satisfies WrongBlocks }]
      : []),
  ]
}

function ofHeads({ attention: [spec], config }: Seen, pooled: boolean): Mutation[] {
  if (!spec) return []
  const { heads, kvHeads } = spec
  const fused = familyOf(config).keyTensor(0)
  return [
    ...(kvHeads > 1 && kvHeads < heads
      ? [
          {
            sentence: 'query heads go to K/V heads in turn',
            attend: attention.withInterleavedGroups,
            attention: true,
          },
        ]
      : []),
    ...(kvHeads === 1 || kvHeads === heads
      ? [{ sentence: 'query heads stand in another order', attend: attention.withReversedQueries, attention: true }]
      : []),
    ...(fused.holds === 'QKV' && fused.grouped && kvHeads > 1
      ? [
          {
            sentence: 'the fused rows are read part by part, and not head by head',
            attend: attention.withPartsSideBySide,
            attention: true,
          },
        ]
      : []),
    ...(pooled
      ? [{ sentence: 'a group keeps its first head and not the mean', method: 'FIRST' as const, attention: true }]
      : []),
  ]
}

function ofWindows({ config }: Seen): Mutation[] {
  const windows = config.attention.map(({ window }) => window)
  if (windows.every((window) => window === null || window >= config.contextLength)) return []
  const others = (change: (window: number | null) => number | null) => (changed: ModelConfig) => ({
    ...changed,
    attention: changed.attention.map((shape) => ({ ...shape, window: change(shape.window) })),
  })
  return [
    { sentence: 'windows are left out', config: others(() => null), attention: true },
    {
      sentence: 'windows are one token longer',
      config: others((window) => (window === null ? null : window + 1)),
      attention: true,
    },
    ...(windows.includes(null)
      ? [
          {
            sentence: 'every layer has a window',
            config: others((window) => window ?? windows.find((size) => size !== null) ?? null),
            attention: true,
          },
        ]
      : []),
  ]
}

function ofBiases({ biased }: Seen): Mutation[] {
  if (!biased) return []
  return [
    { sentence: 'heads have the ALiBi slopes of others', attend: attention.withOtherSlopes, attention: true },
    { sentence: 'ALiBi is not scaled with the scores', attend: attention.withUnscaledAlibi, attention: true },
    { sentence: 'ALiBi is added twice', attend: attention.withAlibiTwice, attention: true },
    {
      sentence: 'ALiBi is exact and not rounded as transformers rounds it',
      attend: attention.withExactAlibi(12),
      attention: true,
      misses: 50,
    },
  ]
}

function ofPositions(seen: Seen): Mutation[] {
  const { turned, tables, positions, config } = seen
  const learned: Mutation = {
    sentence: 'learned positions are left out',
    blocks: {
      embed(real, model, g, ids, ...rest) {
        const rows = real(model, g, ids, ...rest)
        return ids === model.positions ? multiply(g.at('none'), rows, g.floats([0])) : rows
      },
    },
  }
  if (turned === null) return positions ? [learned] : []
  const mutations: Mutation[] = [
    {
      sentence: 'queries and keys are not rotated',
      blocks: { rotate: (_, __, x) => x, rotatePairs: (_, __, x) => x },
      attention: true,
    },
    turned === 'halves'
      ? {
          sentence: 'neighbours are rotated together, and not halves',
          blocks: {
            rotate: (real, g, x, table, headDim) => real(g, pairsApart(g, x, table.width, headDim), table, headDim),
          },
          attention: true,
        }
      : {
          sentence: 'halves are rotated together, and not neighbours',
          blocks: { rotatePairs: (real, g, x, table) => real.rotate(g, x, table, table.width) },
          attention: true,
        },
  ]
  if (seen.latents.length === 0 && tables.some(({ width }) => width < config.headDim)) {
    mutations.push({
      sentence: 'heads are rotated as a whole',
      blocks: { rotarySpec: (spec) => ({ ...spec, width: config.headDim }) },
      attention: true,
    })
  }
  if (tables.some(({ scaling }) => scaling !== undefined)) {
    mutations.push({
      sentence: 'the scaling of rotary embeddings is left out',
      blocks: { rotarySpec: ({ width, theta }) => ({ width, theta }) },
      attention: true,
    })
  }
  if (tables.some(({ theta }) => theta !== 10_000)) {
    mutations.push({
      sentence: 'the rotary base is 10,000 everywhere',
      blocks: { rotarySpec: (spec) => ({ ...spec, theta: 10_000 }) },
      attention: true,
      misses: 100,
    })
  }
  if (new Set(tables.map(({ theta }) => theta)).size > 1) {
    const [first] = tables
    mutations.push({
      sentence: 'all layers have one rotary base',
      blocks: { rotarySpec: (spec) => first ?? spec },
      attention: true,
    })
  }
  return mutations
}

/** [x0 x2 ... x1 x3 ... rest]: pairs of neighbours where a rotation of halves looks for its pairs. */
function pairsApart(g: GraphBuilder, x: Value, width: number, headDim: number): Value {
  const all = Array.from({ length: headDim }, (_, index) => index)
  const turned = all.slice(0, width)
  const order = [...turned.filter((index) => index % 2 === 0), ...turned.filter((index) => index % 2 === 1)]
  return gather(g.at('pairs'), x, g.integers([...order, ...all.slice(width)]), -1)
}

function ofNorms({ norms }: Seen): Mutation[] {
  const roles = [...norms]
  return [
    ...roles.map(([role]): Mutation => {
      const isRole = (name: string) => lastPart(name) === role
      return {
        sentence: `${role} is left out`,
        blocks: {
          layerNorm: (real, model, g, x, name) => (isRole(name) ? x : real.layerNorm(model, g, x, name)),
          rmsNorm: (real, model, g, x, name, form) => (isRole(name) ? x : real.rmsNorm(model, g, x, name, form)),
        },
      }
    }),
    ...(roles.some(([, { kind }]) => kind === 'layer')
      ? [
          {
            sentence: 'layer norms do not take the mean off',
            blocks: {
              layerNorm(_, model, g, x, name) {
                const { hiddenSize, normEpsilon } = model.config
                const gain = model.weight(`${name}.weight`, [hiddenSize])
                const normed = rmsNormalization(g, x, gain, normEpsilon)
                return add(g.at('bias'), normed, model.weight(`${name}.bias`, [hiddenSize]))
              },
            } satisfies WrongBlocks,
          },
        ]
      : []),
    ...(roles.some(([, { unitOffset }]) => unitOffset)
      ? [
          {
            sentence: 'the gain of RMS norms is the weight and not 1 + weight',
            blocks: {
              rmsNorm: (real, model, g, x, name, form) =>
                real.rmsNorm(model, g, x, name, { ...form, unitOffset: false }),
            } satisfies WrongBlocks,
          },
        ]
      : []),
  ]
}

function ofProjections({ config: { activation }, biases }: Seen): Mutation[] {
  const tanh = activation === 'gelu_new' || activation === 'gelu_pytorch_tanh'
  return [
    ...(biases.size > 0
      ? [{ sentence: 'biases of projections are left out', blocks: { biases: false as const } }]
      : []),
    { sentence: 'the MLP has another activation', config: activated(activation === 'relu' ? 'silu' : 'relu') },
    ...(tanh ? [{ sentence: 'GELU is exact and not its tanh form', config: activated('gelu'), misses: 2 }] : []),
    ...(activation === 'gelu'
      ? [{ sentence: 'GELU is its tanh form and not exact', config: activated('gelu_new'), misses: 2 }]
      : []),
  ]
}

/** Families compare what a config.json says of it in several fields: all of them say the same. */
function activated(name: string): (config: ModelConfig) => ModelConfig {
  return (config) => {
    const named = ['hidden_act', 'hidden_activation', 'activation_function'].filter((field) => field in config.raw)
    return {
      ...config,
      activation: name,
      raw: { ...config.raw, ...Object.fromEntries(named.map((field) => [field, name])) },
    }
  }
}

function ofExperts({ experts: [spec] }: Seen): Mutation[] {
  if (!spec) return []
  const { router, shared } = spec
  type Router = typeof router
  const routed = (sentence: string, change: (router: Router) => Router): Mutation => ({
    sentence,
    blocks: { experts: (given) => ({ ...given, router: change(given.router) }) },
  })
  const without = (key: 'groups' | 'correction') => (given: Router) => {
    const { [key]: _, ...rest } = given
    return rest
  }
  return [
    routed('a token goes to one expert more', (given) => ({ ...given, chosen: given.chosen + 1 })),
    routed(`weights of experts are ${router.normalized ? 'not ' : ''}divided by their sum`, (given) => ({
      ...given,
      normalized: !given.normalized,
    })),
    routed(`experts are scored by ${router.scores === 'softmax' ? 'sigmoid' : 'softmax'}`, (given) => ({
      ...given,
      scores: given.scores === 'softmax' ? 'sigmoid' : 'softmax',
    })),
    ...(router.scale === 1 ? [] : [routed('weights of experts are not scaled', (given) => ({ ...given, scale: 1 }))]),
    ...(router.groups ? [routed('experts of all groups may be chosen', without('groups'))] : []),
    ...(router.correction === undefined ? [] : [routed('the correction of scores is left out', without('correction'))]),
    ...(shared
      ? [
          {
            sentence: 'shared experts are left out',
            blocks: {
              experts({ shared: _, ...rest }) {
                return rest
              },
            } satisfies WrongBlocks,
          },
        ]
      : []),
  ]
}

/** Fields of config.json that no shared block sees: the graph has to change when they do. */
const fields: Readonly<Record<string, (value: unknown) => unknown>> = {
  use_parallel_residual: (value) => !value,
  query_pre_attn_scalar: (value) => Number(value) + 3,
}

function ofFamily({ config }: Seen): Mutation[] {
  const unscaled: Mutation = {
    sentence: 'embeddings are not scaled by the square root of the hidden size',
    blocks: {
      embed(real, model, g, ...rest) {
        return multiply(g.at('unscaled'), real(model, g, ...rest), g.floats([1 / Math.sqrt(model.config.hiddenSize)]))
      },
    },
  }
  const flipped = Object.entries(fields).flatMap(([field, other]) =>
    config.raw[field] === undefined
      ? []
      : [
          {
            sentence: `${field} is ${JSON.stringify(other(config.raw[field]))}`,
            config: (given: ModelConfig) => ({ ...given, raw: { ...given.raw, [field]: other(given.raw[field]) } }),
          },
        ],
  )
  return config.family.startsWith('gemma') ? [unscaled, ...flipped] : flipped
}
