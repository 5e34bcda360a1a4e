import { formatCount, formatInteger } from '../render/units.ts'
import { attentionFlops } from './attention-flops.ts'
import type { LectureClaim, LectureModels } from './lecture-facts.ts'
import { parameterCount } from './parameters.ts'
import { withKvHeads } from './pool-kv-heads.ts'

/** The same model trained with MHA and with MQA, as published. */
interface PublishedQuality {
  measure: string
  mha: number
  mqa: number
  better: 'higher' | 'lower'
  source: string
}

/** Figures of papers: kvscope measures no quality. */
const publishedQuality: readonly PublishedQuality[] = [
  { measure: 'ln perplexity of WMT', mha: 1.424, mqa: 1.439, better: 'lower', source: 'Shazeer 2019' },
  { measure: 'perplexity of Billion-Word', mha: 29.9, mqa: 30.2, better: 'lower', source: 'Shazeer 2019' },
  { measure: 'average score of T5-XXL', mha: 47.2, mqa: 46.6, better: 'higher', source: 'Ainslie et al. 2023' },
  { measure: 'MMLU', mha: 28.0, mqa: 26.5, better: 'higher', source: 'Touvron et al. 2023 (Llama 2), table 18' },
  { measure: 'MMLU of a 7B', mha: 45.2, mqa: 37.9, better: 'higher', source: 'DeepSeek-AI 2024 (V2)' },
]

/** Share of MHA's figure by which MQA's is worse. */
function loss({ mha, mqa, better }: PublishedQuality): number {
  return (better === 'higher' ? mha - mqa : mqa - mha) / mha
}

/** What the lecture says of multi-query attention itself: what it keeps, what it shares, what it costs. */
export function qualityClaims({ gpt2Medium }: LectureModels): LectureClaim[] {
  const mqa = withKvHeads(gpt2Medium, 1)
  const flops = [gpt2Medium, mqa].map((config) => attentionFlops(config, 1))
  const [before, after] = flops
  const shape = mqa.attention[0]
  if (before === undefined || after === undefined || shape === undefined) return []
  const seen = 'kvscope heads weights gpt2 --kv-heads 1 --projections Q,K,V'
  const rising = publishedQuality.toSorted((a, b) => loss(a) - loss(b))
  const [least, most] = [rising[0], rising.at(-1)]
  const worse = publishedQuality.filter((pair) => loss(pair) > 0).length
  return [
    {
      claim: 'Each query still has its own projection (like in MHA)',
      assumption: null,
      verdict: 'HOLDS',
      recomputed: `gpt2-medium with one K/V head keeps ${mqa.heads} query heads; making queries takes ${formatCount(after.queries)} operations a token, as before (${formatCount(before.queries)})`,
      seeItWith: seen,
    },
    {
      claim: 'All queries share the same key and value vectors',
      assumption: 'with multi-query attention, which neither of the two models has',
      verdict: 'HOLDS_IF',
      recomputed: `${shape.kvHeads} K/V head serves ${mqa.heads} query heads: gpt2-medium would have ${formatInteger(parameterCount(gpt2Medium) - parameterCount(mqa))} parameters less, 1/${before.keysAndValues / after.keysAndValues} of those that make K and V`,
      seeItWith: seen,
    },
    {
      claim: 'different attention heads value will be different because the query vectors are different',
      assumption: null,
      verdict: 'HOLDS',
      recomputed: `${mqa.heads} query matrices meet one key matrix: ${mqa.heads} maps a layer, as with MHA, and none needs to equal another`,
      seeItWith: 'kvscope heads attention gpt2 --kv-heads 1 --no-baselines',
    },
    {
      claim: 'Significant performance degradation: the language model will not be as good',
      assumption:
        'the published comparisons are taken for it: kvscope measures no quality, and the lecture none either',
      verdict: 'HOLDS_IF',
      recomputed: `MQA is worse in ${worse} of ${publishedQuality.length} published pairs, by ${lossText(least)} to ${lossText(most)}: whether that is significant is for the task to say`,
      seeItWith: 'kvscope lecture --json',
    },
  ]
}

function lossText(pair: PublishedQuality | undefined): string {
  if (pair === undefined) return 'nothing'
  return `${(100 * loss(pair)).toFixed(1)} % (${pair.measure} ${pair.mha} to ${pair.mqa}, ${pair.source})`
}
