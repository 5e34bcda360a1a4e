import { deepSeekShared, readDeepSeek } from './deepseek-layout.ts'
import type { ModelFamily } from './family.ts'

/** DeepSeek-V2 and V2-Lite (DeepSeek-AI 2024): MLA and experts. */
export const deepSeekV2: ModelFamily = {
  ...deepSeekShared,
  family: 'deepseek_v2',
  runnable: true,
  modelTypes: ['deepseek_v2'],
  read: (fields, name) => readDeepSeek(fields, name, 'deepseek_v2'),
  ignorable: () => [/\.rotary_emb\.inv_freq$/],
}
