import { formatCount, formatDecimalBytes, formatPercent } from '../render/units.ts'
import { attentionFlops } from './attention-flops.ts'
import { kvBytesPerToken } from './kv-bytes.ts'
import { overallAttention } from './layer-attention.ts'
import { type LectureClaim, type LectureModels, lecturePrompt, lectureSeconds } from './lecture-facts.ts'
import type { ModelConfig } from './model-config.ts'
import { parameterCount } from './parameters.ts'
import { withKvHeads } from './pool-kv-heads.ts'
import { trialCost } from './step-cost.ts'

const replay = 'kvscope lecture --run --small'

/** What the lecture reads out of one forward pass of each of two models. */
export function timingClaims({ gpt2Medium, falcon }: LectureModels): LectureClaim[] {
  const tokens = lecturePrompt.split(' ').length
  const { gpt2Medium: slow, falcon: fast } = lectureSeconds
  const [gpt2Weights, falconWeights] = [parameterCount(gpt2Medium), parameterCount(falcon)]
  const bytes = (values: number, perValue: number) => formatDecimalBytes(values * perValue)
  const cached = (config: ModelConfig) => kvBytesPerToken(config, 16) * tokens
  const pooled = withKvHeads(gpt2Medium, 1)
  const shared = attentionFlops(pooled, tokens)
  const own = attentionFlops(gpt2Medium, tokens)
  const forward = { depth: 0, promptTokens: tokens, generatedTokens: 0, batch: 1 }
  const cost = (config: ModelConfig) => trialCost(config, forward, { tokensPerStep: tokens })
  const downloaded = gpt2Weights * 4 + falconWeights * 2
  return [
    {
      claim: `from ${slow} to ${fast} seconds: almost a factor of 40% improvement in the inference time`,
      assumption: null,
      verdict: 'FAILS',
      recomputed: `${fast} / ${slow} = ${(fast / slow).toFixed(3)}: ${(slow / fast).toFixed(2)} times faster, ${formatPercent(1 - fast / slow)} less time; 40 % is what remains`,
      seeItWith: replay,
    },
    {
      claim: `the inference time for multihead attention is ${slow} seconds, and the inference time for multiquery attention is ${fast}`,
      assumption: null,
      verdict: 'FAILS',
      recomputed: `one forward pass of each, the first cold and paying the start-up, in a fixed order, of two models of ${formatCount(gpt2Weights)} and ${formatCount(falconWeights)} parameters that are both ${overallAttention(falcon).kind}: ${formatDecimalBytes(cost(gpt2Medium).bytesRead)} to read in F32 against ${formatDecimalBytes(cost(falcon).bytesRead)}, so that Falcon, the faster, had more to do. One sample of each has no interval, and nothing follows from it`,
      seeItWith: replay,
    },
    {
      claim:
        'why is there an improvement? because we are saving less in the memory: we reduce the number of heads in the KV cache formula',
      assumption: null,
      verdict: 'FAILS',
      recomputed: `a forward pass of ${tokens} tokens reads no cache. What it would leave in one, ${formatDecimalBytes(cached(gpt2Medium))} of gpt2-medium and ${formatDecimalBytes(cached(falcon))} of Falcon in F16, is ${share(cached(gpt2Medium) / (2 * gpt2Weights))} and ${share(cached(falcon) / (2 * falconWeights))} of the weights; and Falcon's is the larger`,
      seeItWith: `kvscope kv falcon-rw-1b --context ${tokens}`,
    },
    {
      claim: 'we are also doing less number of computations, since the keys and values are just repeated',
      assumption: 'the projections that make K and V are meant, in a model that has MQA',
      verdict: 'HOLDS_IF',
      recomputed: `over ${tokens} tokens gpt2-medium takes ${formatCount(cost(gpt2Medium).flops)} operations, and with one K/V head ${formatCount(cost(pooled).flops)}: making K and V falls from ${formatCount(own.keysAndValues)} to ${formatCount(shared.keysAndValues)}, while queries times keys and probabilities times values take ${formatCount(own.scores)} before and ${formatCount(shared.scores)} after: every query head still meets every key`,
      seeItWith: 'kvscope lecture',
    },
    {
      claim: 'you will need to allocate around 5 GB of space',
      assumption: 'gpt2-medium is kept in F32 and Falcon in the 16 bits of its file, and the rest is buffers',
      verdict: 'HOLDS_IF',
      recomputed: `${bytes(gpt2Weights, 4)} + ${bytes(falconWeights, 2)} = ${formatDecimalBytes(downloaded)} of weights; both in F32 ${bytes(gpt2Weights + falconWeights, 4)}`,
      seeItWith: 'kvscope inspect falcon-rw-1b',
    },
  ]
}

function share(part: number): string {
  return `${(100 * part).toFixed(2)} %`
}
