import { deepSeekShared, readDeepSeek } from './deepseek-layout.ts'
import type { ModelFamily } from './family.ts'

/**
 * DeepSeek-V3 and R1 (DeepSeek-AI 2024). Hub files also hold the scales of the FP8 weights and, as one layer more than
 * num_hidden_layers, the multi-token prediction module; neither is part of the main model's 671 B parameters.
 */
export const deepSeekV3: ModelFamily = {
  ...deepSeekShared,
  family: 'deepseek_v3',
  runnable: true,
  modelTypes: ['deepseek_v3'],
  read: (fields, name) => readDeepSeek(fields, name, 'deepseek_v3'),
  ignorable: ({ layers }) => [
    /\.rotary_emb\.inv_freq$/,
    /\.weight_scale_inv$/,
    new RegExp(`^model\\.layers\\.${layers}\\.`),
  ],
}
