import type { ModelConfig } from '../../src/architecture/model-config.ts'
import type * as attention from '../../src/models/attention.ts'
import type * as embedding from '../../src/models/embedding.ts'
import type * as experts from '../../src/models/experts.ts'
import type * as linears from '../../src/models/linear.ts'
import type { LatentSpec } from '../../src/models/mla.ts'
import type * as norm from '../../src/models/norm.ts'
import type * as rope from '../../src/models/rope.ts'

/**
 * The shared blocks of src/models, between families and the blocks themselves: each tells what it was asked for, and can be
 * replaced by one that is wrong in one way. A test file puts them in place with vi.mock, one line a module.
 */

type RotarySpec = Parameters<typeof rope.rotaryTable>[2]
type ExpertsSpec = Parameters<typeof experts.experts>[3]

/** What a model asked the blocks for while its graph was built. */
export interface Seen {
  config: ModelConfig
  attention: attention.AttentionSpec[]
  latents: LatentSpec[]
  /** whether anything is added to scores beside the mask */
  biased: boolean
  /** whether the logits are capped */
  capped: boolean
  tables: RotarySpec[]
  /** values of a head that are turned, and how */
  turned: 'halves' | 'pairs' | null
  /** the last part of each norm's name: input_layernorm, q_norm */
  norms: Map<string, { kind: 'layer' | 'rms'; unitOffset: boolean }>
  /** embeddings of positions */
  positions: boolean
  experts: ExpertsSpec[]
  /** the last parts of the names of projections with a bias: q_proj, dense */
  biases: Set<string>
}

/** Blocks that stand in for the real ones. Each is given the real one first. */
export interface WrongBlocks {
  rotate?: (real: typeof rope.rotate, ...given: Parameters<typeof rope.rotate>) => ReturnType<typeof rope.rotate>
  rotatePairs?: (
    real: typeof rope,
    ...given: Parameters<typeof rope.rotatePairs>
  ) => ReturnType<typeof rope.rotatePairs>
  rotarySpec?: (spec: RotarySpec, seen: Seen) => RotarySpec
  layerNorm?: (real: typeof norm, ...given: Parameters<typeof norm.layerNorm>) => ReturnType<typeof norm.layerNorm>
  rmsNorm?: (real: typeof norm, ...given: Parameters<typeof norm.rmsNorm>) => ReturnType<typeof norm.rmsNorm>
  softCap?: typeof attention.softCap
  embed?: (
    real: typeof embedding.embed,
    ...given: Parameters<typeof embedding.embed>
  ) => ReturnType<typeof embedding.embed>
  experts?: (spec: ExpertsSpec) => ExpertsSpec
  /** whether projections have the biases that they are asked for */
  biases?: false
}

let wrong: WrongBlocks = {}
let seen: Seen | null = null

/** Builds and runs with wrong blocks, or with the real ones, and tells what was asked for. */
export async function withBlocks<T>(
  config: ModelConfig,
  blocks: WrongBlocks,
  act: (seen: Seen) => Promise<T>,
): Promise<T> {
  const own: Seen = {
    config,
    attention: [],
    latents: [],
    biased: false,
    capped: false,
    tables: [],
    turned: null,
    norms: new Map(),
    positions: false,
    experts: [],
    biases: new Set(),
  }
  wrong = blocks
  seen = own
  try {
    return await act(own)
  } finally {
    wrong = {}
    seen = null
  }
}

export function watchRope(real: typeof rope): typeof rope {
  return {
    ...real,
    rotaryTable(g, positions, spec) {
      seen?.tables.push(spec)
      return real.rotaryTable(g, positions, seen && wrong.rotarySpec ? wrong.rotarySpec(spec, seen) : spec)
    },
    rotate(...given) {
      if (seen) seen.turned = 'halves'
      return wrong.rotate ? wrong.rotate(real.rotate, ...given) : real.rotate(...given)
    },
    rotatePairs(...given) {
      if (seen) seen.turned = 'pairs'
      return wrong.rotatePairs ? wrong.rotatePairs(real, ...given) : real.rotatePairs(...given)
    },
  }
}

export function watchNorms(real: typeof norm): typeof norm {
  return {
    ...real,
    layerNorm(...given) {
      seen?.norms.set(lastPart(given[3]), { kind: 'layer', unitOffset: false })
      return wrong.layerNorm ? wrong.layerNorm(real, ...given) : real.layerNorm(...given)
    },
    rmsNorm(...given) {
      seen?.norms.set(lastPart(given[3]), { kind: 'rms', unitOffset: given[4]?.unitOffset ?? false })
      return wrong.rmsNorm ? wrong.rmsNorm(real, ...given) : real.rmsNorm(...given)
    },
  }
}

/** The last part of a tensor's name, which all layers share. */
export function lastPart(name: string): string {
  return name.split('.').at(-1) ?? name
}

export function watchAttention(real: typeof attention): typeof attention {
  return {
    ...real,
    // Asked for from outside its own file it caps logits.
    softCap(...given) {
      if (seen) seen.capped = true
      return (wrong.softCap ?? real.softCap)(...given)
    },
  }
}

export function watchEmbedding(real: typeof embedding): typeof embedding {
  return {
    ...real,
    embed(...given) {
      const [model, , ids] = given
      if (seen && ids === model.positions) seen.positions = true
      return wrong.embed ? wrong.embed(real.embed, ...given) : real.embed(...given)
    },
  }
}

export function watchLinear(real: typeof linears): typeof linears {
  return {
    ...real,
    linear(model, g, x, name, form) {
      if (form.bias) seen?.biases.add(lastPart(name))
      return real.linear(model, g, x, name, { ...form, bias: form.bias && wrong.biases !== false })
    },
  }
}

export function watchExperts(real: typeof experts): typeof experts {
  return {
    ...real,
    experts(model, g, x, spec) {
      seen?.experts.push(spec)
      return real.experts(model, g, x, wrong.experts ? wrong.experts(spec) : spec)
    },
  }
}
