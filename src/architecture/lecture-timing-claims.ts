import { formatCount, formatDecimalBytes, formatInteger, formatMilliseconds, formatPercent } from '../render/units.ts'
import { attentionFlops } from './attention-flops.ts'
import { kvBytesPerToken } from './kv-bytes.ts'
import { overallAttention } from './layer-attention.ts'
import { type LectureClaim, type LectureModels, lecturePrompt, lectureSeconds } from './lecture-facts.ts'
import type { ModelConfig } from './model-config.ts'
import { predictOnDevices } from './named-devices.ts'
import { parameterCount } from './parameters.ts'
import { withKvHeads } from './pool-kv-heads.ts'
import { type TrialCost, trialCost } from './step-cost.ts'

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
    ...deviceClaims({ gpt2Medium: cost(gpt2Medium), falcon: cost(falcon) }, bytes(gpt2Weights + falconWeights, 4)),
  ]
}

/** What the two passes would take at the least where the lecture ran them, and where it says that they run too. */
function deviceClaims(costs: { gpt2Medium: TrialCost; falcon: TrialCost }, weights: string): LectureClaim[] {
  const least = (cost: TrialCost, device: string) => {
    const found = predictOnDevices(cost).find((each) => each.device === device)
    if (found === undefined) throw new Error(`no device is named ${device}`)
    return found
  }
  const onA100 = {
    gpt2: least(costs.gpt2Medium, 'NVIDIA A100 40 GB'),
    falcon: least(costs.falcon, 'NVIDIA A100 40 GB'),
  }
  const onT4 = { gpt2: least(costs.gpt2Medium, 'NVIDIA T4'), falcon: least(costs.falcon, 'NVIDIA T4') }
  const times = (seconds: number, milliseconds: number) => formatInteger((1000 * seconds) / milliseconds)
  return [
    {
      claim: 'I would expect a good performance time in my multiquery attention because I am saving in the memory',
      assumption: null,
      verdict: 'FAILS',
      recomputed: `reading all weights takes at least ${formatMilliseconds(onA100.gpt2.milliseconds)} for gpt2-medium and ${formatMilliseconds(onA100.falcon.milliseconds)} for Falcon at an A100's ${formatInteger(onA100.gpt2.bytesPerSecond / 1e9)} GB/s (its datasheet): ${lectureSeconds.gpt2Medium} s is ${times(lectureSeconds.gpt2Medium, onA100.gpt2.milliseconds)} times that and ${lectureSeconds.falcon} s ${times(lectureSeconds.falcon, onA100.falcon.milliseconds)} times. What took the time was start-up and launches`,
      seeItWith: replay,
    },
    {
      claim: 'if you do not have access to the a100, switch to a T4 GPU and the code will still run',
      assumption: 'that it runs is all that is meant: it shows no effect of the KV cache there either',
      verdict: 'HOLDS_IF',
      recomputed: `${weights} of weights in F32; one pass takes at least ${formatMilliseconds(onT4.gpt2.milliseconds)} and ${formatMilliseconds(onT4.falcon.milliseconds)} at a T4's ${formatInteger(onT4.gpt2.bytesPerSecond / 1e9)} GB/s (its datasheet), ${(onT4.gpt2.milliseconds / onA100.gpt2.milliseconds).toFixed(1)} times an A100's`,
      seeItWith: replay,
    },
  ]
}

function share(part: number): string {
  return `${(100 * part).toFixed(2)} %`
}
