import type { GraphBuilder, Value } from '../onnx/graph.ts'
import {
  add,
  cast,
  divide,
  gatherLast,
  matMulTransposed,
  multiply,
  oneHot,
  reduceMax,
  reduceSum,
  reshape,
  sigmoid,
  softmax,
  topK,
} from '../onnx/ops.ts'
import type { ModelBuilder } from './family.ts'
import { maskedScore } from './kv-cache.ts'

/** Which experts a token goes to, and with what weights. E experts, k chosen for a token. */
export interface RouterSpec {
  /** the router's matrix [E, hiddenSize], without `.weight` */
  name: string
  /** E */
  experts: number
  /** k */
  chosen: number
  /** how the router's logits become scores: over all experts together, or each by itself (DeepSeek-V3, eq. 15) */
  scores: 'softmax' | 'sigmoid'
  /** tensor [E] added to the scores for the choice alone, not for the weights (DeepSeek-V3, eq. 16) */
  correction?: string
  /** only experts of the best groups may be chosen (DeepSeek-V2, section 2.2.2); absent: all */
  groups?: ExpertGroups
  /** whether the weights of the chosen are divided by their sum */
  normalized: boolean
  /** what the weights are multiplied by: routed_scaling_factor */
  scale: number
}

export interface ExpertGroups {
  /** groups of E / count neighbours */
  count: number
  /** groups whose experts may be chosen */
  chosen: number
  /** a group is as good as its best expert (group_limited_greedy) or as its two best together (noaux_tc) */
  by: 'best' | 'bestTwo'
}

export interface Routes {
  /** [N, k] int64: the experts of each token, the best first */
  experts: Value
  /** [N, k]: what their results are multiplied by */
  weights: Value
}

/** Keeps a sum of scores from being 0, as DeepSeek's own code does. */
const epsilon = 1e-20

/**
 * Chooses k of E experts for each token (Shazeer et al. 2017, section 2.1, without the noise): MixtralTopKRouter,
 * DeepseekV2TopkRouter and DeepseekV3TopkRouter of transformers. Of equal scores the first expert's wins.
 * @param x [N, hiddenSize]
 */
export function route(model: ModelBuilder, g: GraphBuilder, x: Value, spec: RouterSpec): Routes {
  const { name, experts, chosen, correction, groups, normalized, scale } = spec
  const logits = matMulTransposed(g, x, model.weight(`${name}.weight`, [experts, model.config.hiddenSize]), 2)
  const scores = spec.scores === 'softmax' ? softmax(g, logits) : sigmoid(g, logits) // [N, E]
  const corrected = correction === undefined ? scores : add(g, scores, model.weight(correction, [experts]))
  const eligible = groups === undefined ? corrected : limitToGroups(g.at('groups'), corrected, experts, groups)
  const { indices } = topK(g, eligible, chosen)
  const taken = gatherLast(g, scores, indices) // [N, k]
  const weights = normalized ? divide(g, taken, add(g, reduceSum(g, taken, -1, true), g.floats([epsilon]))) : taken
  return { experts: indices, weights: scale === 1 ? weights : multiply(g, weights, g.floats([scale])) }
}

/** The same scores, hugely negative for experts outside the best groups. scores: [N, E] -> the same */
function limitToGroups(g: GraphBuilder, scores: Value, experts: number, { count, chosen, by }: ExpertGroups): Value {
  const grouped = reshape(g, scores, [-1, count, experts / count]) // [N, groups, E / groups]
  const worth =
    by === 'best' ? reduceMax(g, grouped, -1) : reduceSum(g, topK(g.at('two'), grouped, 2).values, -1, false)
  const { indices } = topK(g, worth, chosen) // [N, chosen groups]
  const open = reduceSum(g, oneHot(g, indices, count), 1, false) // [N, groups]: 1 or 0
  const closed = add(g, cast(g, open, 'float32'), g.floats([-1])) // 0 or -1
  const penalty = reshape(g, multiply(g, closed, g.floats([-maskedScore])), [-1, count, 1])
  return reshape(g, add(g, grouped, penalty), [-1, experts])
}
