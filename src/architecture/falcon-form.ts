import { readFields, unsupported } from './fields.ts'

/**
 * The order of query_key_value's rows, n query heads and kv K/V heads of d values each:
 * perHead (n, 3, d), each head's q, k, v; shared (n + 2, d), all q, one k, one v; grouped (kv, n / kv + 2, d), each
 * group's q, its k, its v.
 */
export type FalconLayout = 'perHead' | 'shared' | 'grouped'

/** What Falcon's flags make of a block (transformers, FalconDecoderLayer and FalconAttention._split_heads). */
export interface FalconForm {
  layout: FalconLayout
  /** linear biases on the scores, instead of rotary positions */
  alibi: boolean
  /** attention and MLP read the same input; else the MLP reads what attention left */
  parallel: boolean
  /** layer norms of a block: one for both branches, or one for each */
  norms:
    | readonly ['input_layernorm']
    | readonly ['input_layernorm', 'post_attention_layernorm']
    | readonly ['ln_attn', 'ln_mlp']
}

/** @throws AppError CONFIG_UNSUPPORTED naming a flag of the wrong form */
export function readFalconForm(raw: Record<string, unknown>): FalconForm {
  const fields = readFields(raw)
  // RefinedWeb is falcon-40b's first model_type; it had no such field and no other layout.
  const grouped = fields.flag(raw.model_type === 'RefinedWeb', 'new_decoder_architecture')
  const layout = grouped ? 'grouped' : fields.flag(true, 'multi_query') ? 'shared' : 'perHead'
  const parallel = fields.flag(true, 'parallel_attn')
  const inParallel = raw.num_ln_in_parallel_attn ?? (grouped ? 2 : 1)
  if (inParallel !== 1 && inParallel !== 2) unsupported('num_ln_in_parallel_attn', inParallel, 'it may be 1 or 2')
  const together = inParallel === 1 ? (['input_layernorm'] as const) : (['ln_attn', 'ln_mlp'] as const)
  const norms = parallel ? together : (['input_layernorm', 'post_attention_layernorm'] as const)
  return { layout, alibi: fields.flag(false, 'alibi'), parallel, norms }
}
