import { formatBinaryBytes, formatBytes, formatDecimalBytes, formatInteger } from '../render/units.ts'
import { kvCacheReport } from './kv-bytes.ts'
import { type LectureClaim, type LectureModels, lectureCache, lectureTokens } from './lecture-facts.ts'
import { findPreset } from './presets.ts'
import { readModelConfig } from './read-config.ts'

const kvOfGpt3 = `kvscope kv gpt3-175b --context ${lectureTokens.gpt3}`
const kvOfDeepSeek = `kvscope kv deepseek-v3 --context ${lectureTokens.deepSeek}`

/** What the lecture says of the size of the KV cache: its table, its formulas and its figures for GPT-3 and DeepSeek. */
export function cacheClaims(models: LectureModels): LectureClaim[] {
  return [...formulaClaims(models), ...gpt3Claims(models), ...deepSeekClaims(models)]
}

function formulaClaims({ gpt3 }: LectureModels): LectureClaim[] {
  const tokens = lectureTokens.gpt3
  const [mha, gqa, mqa] = (['MHA', 'GQA', 'MQA'] as const).map((kind) => lectureCache(gpt3, kind, tokens))
  if (mha === undefined || gqa === undefined || mqa === undefined) return []
  return [
    {
      claim: 'Multi-Head Attention: l.b.n.h.s.2.2',
      assumption: 'a value takes two bytes, and every layer keeps every token (no sliding window)',
      verdict: 'HOLDS_IF',
      recomputed: `layers x batch x heads x head dim x 2 (K and V) x tokens x bytes: for GPT-3 ${mha.product} = ${formatInteger(mha.bytes)} bytes`,
      seeItWith: kvOfGpt3,
    },
    {
      claim: 'Group-Query Attention (GQA): l.b.h.s.2.2',
      assumption: null,
      verdict: 'FAILS',
      recomputed: `that is the formula of MQA, which has one K/V head: ${mqa.product} = ${formatBytes(mqa.bytes)}. GQA has g K/V heads, l.b.g.h.s.2.2: with ${gqa.kvHeads} of them ${gqa.product} = ${formatBytes(gqa.bytes)}, ${gqa.bytes / mqa.bytes} times as much`,
      seeItWith: kvOfGpt3,
    },
    {
      claim: 'for multiquery attention we reduce by 1 by n, so we get rid of this number of heads',
      assumption: null,
      verdict: 'HOLDS',
      recomputed: `one K/V head in place of ${mha.kvHeads}: ${formatInteger(mqa.bytesPerToken)} bytes a token in place of ${formatInteger(mha.bytesPerToken)}, 1/${mha.bytesPerToken / mqa.bytesPerToken}`,
      seeItWith: kvOfGpt3,
    },
  ]
}

function gpt3Claims({ gpt3 }: LectureModels): LectureClaim[] {
  const tokens = lectureTokens.gpt3
  const mha = lectureCache(gpt3, 'MHA', tokens)
  const mqa = lectureCache(gpt3, 'MQA', tokens)
  const whole = (kind: 'MHA' | 'MQA') => formatBytes(lectureCache(gpt3, kind, gpt3.contextLength).bytes)
  const assumption = `${formatInteger(tokens)} tokens, one sequence, two bytes a value, and`
  const atContext = `at GPT-3's context of ${formatInteger(gpt3.contextLength)}`
  return [
    {
      claim: 'GPT-3 (175B, l=96, n=96) memory needed, Multi-Head Attention: 4.5 GB',
      assumption: `${assumption} GB read as GiB`,
      verdict: 'HOLDS_IF',
      recomputed: `${mha.product} = ${formatBytes(mha.bytes)}; ${atContext} ${whole('MHA')}`,
      seeItWith: kvOfGpt3,
    },
    {
      claim: 'GPT-3 (175B, l=96, n=96) memory needed, in the row labelled GQA: 48 MB',
      assumption: `${assumption} MB read as MiB; and for MQA, which the row is`,
      verdict: 'HOLDS_IF',
      recomputed: `${mqa.product} = ${formatBytes(mqa.bytes)}; ${atContext} ${whole('MQA')}`,
      seeItWith: kvOfGpt3,
    },
    {
      claim: 'almost a factor of 100 difference, reduction in the amount of memory needed',
      assumption: null,
      verdict: 'HOLDS',
      recomputed: `${formatBinaryBytes(mha.bytes)} / ${formatBinaryBytes(mqa.bytes)} = ${mha.bytes / mqa.bytes}, GPT-3's number of heads`,
      seeItWith: kvOfGpt3,
    },
  ]
}

function deepSeekClaims({ deepSeek }: LectureModels): LectureClaim[] {
  const tokens = lectureTokens.deepSeek
  const [mha, mqa, mla] = (['MHA', 'MQA', 'MLA'] as const).map((kind) => lectureCache(deepSeek, kind, tokens))
  if (mha === undefined || mqa === undefined || mla === undefined) return []
  const real = kvCacheReport(deepSeek, { contextLength: tokens })
  const at131k = (kind: 'MHA' | 'MQA') => formatDecimalBytes(lectureCache(deepSeek, kind, 131_072).bytes)
  const lite = readModelConfig(findPreset('deepseek-v2-lite').config, 'deepseek-v2-lite')
  const v2 = readModelConfig(findPreset('deepseek-v2').config, 'deepseek-v2')
  const hypothetical = `DeepSeek-V3's ${mha.layers} layers and heads of ${mha.width}, ${formatInteger(tokens)} tokens, two bytes a value, GB in powers of ten (GPT-3's figures were in powers of two), and heads shared as they are not: DeepSeek has ${real.kind}`
  return [
    {
      claim: 'DeepSeek has 128 attention heads!',
      assumption: 'DeepSeek is V2 or V3',
      verdict: 'HOLDS_IF',
      recomputed: `V2 has ${v2.heads} query heads and V3 ${deepSeek.heads}; V2-Lite has ${lite.heads}`,
      seeItWith: 'kvscope inspect deepseek-v3',
    },
    {
      claim: 'MQA reduces size of KV cache by 1/128',
      assumption: 'to 1/128, not by it, and DeepSeek cached K and V of each head, which it does not',
      verdict: 'HOLDS_IF',
      recomputed: `${formatInteger(mha.bytesPerToken)} bytes a token as MHA, ${formatInteger(mqa.bytesPerToken)} as MQA: 1/${mha.bytes / mqa.bytes}, a reduction by ${(100 * (1 - mqa.bytes / mha.bytes)).toFixed(1)} %`,
      seeItWith: kvOfDeepSeek,
    },
    {
      claim: 'from 400 GB (MHA)',
      assumption: hypothetical,
      verdict: 'HOLDS_IF',
      recomputed: `${mha.product} = ${formatBytes(mha.bytes)}; at 131,072 tokens ${at131k('MHA')}`,
      seeItWith: kvOfDeepSeek,
    },
    {
      claim: 'we go to 3 GB (MQA)',
      assumption: hypothetical,
      verdict: 'HOLDS_IF',
      recomputed: `${mqa.product} = ${formatBytes(mqa.bytes)}; at 131,072 tokens ${at131k('MQA')}`,
      seeItWith: kvOfDeepSeek,
    },
    {
      claim: 'the multi-head latent attention, which is the key innovation in the Deep seek paper',
      assumption: null,
      verdict: 'HOLDS',
      recomputed: `it caches ${mla.width} values a token and layer for all heads, ${formatInteger(mla.bytesPerToken)} bytes a token: ${formatDecimalBytes(real.bytes)} at ${formatInteger(tokens)} tokens, ${mla.bytes / mqa.bytes} times that MQA and 1/${Math.round(mha.bytes / mla.bytes)} of that MHA`,
      seeItWith: kvOfDeepSeek,
    },
  ]
}
