import { alibiDistances, alibiSlopes } from '../heads/alibi-baseline.ts'
import { formatCount, formatInteger } from '../render/units.ts'
import { readFalconForm } from './falcon-form.ts'
import { blockOf, type HeadBlock, headOfBlock } from './fused-blocks.ts'
import { type LectureClaim, type LectureModels, lecturePrompt } from './lecture-facts.ts'
import type { ModelConfig } from './model-config.ts'
import { describeModel } from './model-facts.ts'
import { parameterCount } from './parameters.ts'

const inspectFalcon = 'kvscope inspect falcon-rw-1b'
const inspectGpt2 = 'kvscope inspect gpt2-medium'

/** A matrix that a wrong reading of Falcon's fused weight takes for the one that all heads share. */
export interface MisreadMatrix {
  /** what the reader takes it for */
  takenFor: 'K' | 'V'
  /** rows of query_key_value, inclusive */
  rows: readonly [first: number, last: number]
  /** whose it is */
  really: HeadBlock
}

/**
 * Where "the shared K" and "the shared V" of a Falcon stand if its fused weight is read as MQA's, all queries, one key, one
 * value, and whose rows they are in the layout that it has.
 */
export function misreadAsMqa(sizes: { heads: number; kvHeads: number; headDim: number }): MisreadMatrix[] {
  const { heads, kvHeads, headDim } = sizes
  return (['K', 'V'] as const).map((takenFor) => {
    const block = blockOf('byGroup', { projection: takenFor, head: 0 }, { heads, kvHeads: 1 })
    return {
      takenFor,
      rows: [block * headDim, (block + 1) * headDim - 1],
      really: headOfBlock('byGroup', block, { heads, kvHeads }),
    }
  })
}

/** What the lecture says of the two models that it times and looks into. */
export function falconClaims({ gpt2Medium, falcon }: LectureModels): LectureClaim[] {
  const gpt2 = describeModel(gpt2Medium, null)
  const facts = describeModel(falcon, null)
  const form = readFalconForm(falcon.raw)
  const { heads, keyDim: headDim } = facts
  const [key, value] = misreadAsMqa({ heads, headDim, kvHeads: facts.kvHeads ?? heads })
  if (key === undefined || value === undefined) return []
  const words = lecturePrompt.split(' ').length
  return [
    {
      claim: 'gpt2-medium, which implements standard multi-head attention: a 355 million parameter model',
      assumption: null,
      verdict: gpt2.attentionKind === 'MHA' ? 'HOLDS' : 'FAILS',
      recomputed: `${gpt2.attentionKind}: ${gpt2.heads} query heads and ${gpt2.kvHeads} K/V heads; ${formatCount(gpt2.parameters)} parameters`,
      seeItWith: inspectGpt2,
    },
    {
      claim: 'a falcon 1 billion parameter model which uses multiquery attention',
      assumption: null,
      verdict: facts.attentionKind === 'MQA' ? 'HOLDS' : 'FAILS',
      recomputed: `tiiuae/falcon-rw-1b is ${facts.attentionKind}: ${facts.heads} query heads and ${facts.kvHeads} K/V heads in ${facts.layers} layers, multi_query ${form.layout === 'shared'}, ${form.alibi ? 'with ALiBi' : 'without ALiBi'}, ${formatCount(parameterCount(falcon))} parameters. It caches ${formatInteger(facts.kvBytesPerToken.F16)} bytes a token, ${facts.kvBytesPerToken.F16 / gpt2.kvBytesPerToken.F16} times gpt2-medium's ${formatInteger(gpt2.kvBytesPerToken.F16)}`,
      seeItWith: inspectFalcon,
    },
    {
      claim:
        'the key matrices for head zero, for head one, for head two are all the same, because all of these heads share the same key values',
      assumption: null,
      verdict: 'FAILS',
      recomputed: misreadSentence(key, facts.kvHeads),
      seeItWith: inspectFalcon,
    },
    {
      claim: 'all of these heads share the same value matrices',
      assumption: null,
      verdict: 'FAILS',
      recomputed: misreadSentence(value, facts.kvHeads),
      seeItWith: inspectFalcon,
    },
    {
      claim:
        'in gpt2 all the keys have different heat maps, which is expected since the keys do not share the same values',
      assumption: null,
      verdict: 'HOLDS',
      recomputed: `it stores ${gpt2.kvHeads} matrices W_K and ${gpt2.kvHeads} W_V a layer, one for each of its ${gpt2.heads} heads`,
      seeItWith: 'kvscope heads weights gpt2-medium --per-head',
    },
    {
      claim:
        'the number of columns are 64 because the head dimension is 64, and the embedding dimension is I think 1024',
      assumption: null,
      verdict: 'HOLDS',
      recomputed: `W_K of a head of gpt2-medium is ${gpt2.hiddenSize} x ${gpt2.keyDim}; 50 of its rows are ${((100 * 50) / gpt2.hiddenSize).toFixed(1)} % of it`,
      seeItWith: inspectGpt2,
    },
    {
      claim: 'I think gpt2 has 16 heads; the Falcon model has actually 32 heads',
      assumption: 'gpt2 is gpt2-medium, and query heads are meant',
      verdict: 'HOLDS_IF',
      recomputed: `${gpt2.heads} and ${facts.heads} query heads. Each has its own K and V in both models`,
      seeItWith: inspectFalcon,
    },
    {
      claim: 'there are nine tokens, so the attention score matrix will be 9 by 9',
      assumption: 'the tokenizer makes one token of each word, as that of GPT-2 does here',
      verdict: 'HOLDS_IF',
      recomputed: `${words} words: ${words} x ${words}, of which ${(words * (words + 1)) / 2} are on or below the diagonal and ${(words * (words - 1)) / 2} are masked`,
      seeItWith: `kvscope lecture --run --small`,
    },
    diversityClaim(falcon, facts.attentionKind, words),
  ]
}

function misreadSentence({ takenFor, rows, really }: MisreadMatrix, kvHeads: number | null): string {
  return `${kvHeads} heads have ${kvHeads} matrices W_${takenFor}. Read in MQA's layout, "the shared ${takenFor}" is rows ${rows[0]}..${rows[1]} of query_key_value, which in the layout that it has, (head, (q, k, v), head dim), are head ${really.head}'s ${really.projection}`
}

/** Falcon's biases are added before the scores are divided by sqrt(head dim), so its slopes are divided likewise. */
function diversityClaim(falcon: ModelConfig, kind: string, tokens: number): LectureClaim {
  const slopes = alibiSlopes(falcon.heads).map((slope) => slope / Math.sqrt(falcon.headDim))
  const [distance = Number.NaN] = alibiDistances(slopes, [tokens])
  return {
    claim:
      'they look almost kind of similar: the diversity is not that high, because the keys and the values are shared',
    assumption: null,
    verdict: 'FAILS',
    recomputed: `it is ${kind}, and shares none. "This effect is not that pronounced", says the lecturer. Heads that knew nothing but ALiBi's bias would lie ${distance.toFixed(3)} apart over ${tokens} tokens (Jensen-Shannon distance, 0: alike), so position alone makes such maps`,
    seeItWith: 'kvscope lecture --run --small',
  }
}
