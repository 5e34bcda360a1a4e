import { type Fields, unsupported } from './fields.ts'
import { requireListable } from './routed-experts.ts'

/** Widths of multi-head latent attention (DeepSeek-AI 2024, DeepSeek-V2, section 2.1), in config.json's words. */
export interface MlaSizes {
  /** kv_lora_rank: width of the cached latent */
  rank: number
  /** qk_rope_head_dim: width of the cached rotary key, one for all heads */
  rope: number
  /** qk_nope_head_dim: the part of a head's key that is decompressed from the latent */
  nope: number
  value: number
  /** null: queries are not compressed */
  queryRank: number | null
}

export function readMlaSizes(fields: Fields): MlaSizes {
  return {
    rank: fields.size('kv_lora_rank'),
    rope: fields.size('qk_rope_head_dim'),
    nope: fields.size('qk_nope_head_dim'),
    value: fields.size('v_head_dim'),
    queryRank: fields.any('q_lora_rank') === undefined ? null : fields.size('q_lora_rank'),
  }
}

/** The experts of DeepSeek's layers (Dai et al. 2024, DeepSeekMoE), in config.json's words. */
export interface DeepSeekExperts {
  /** n_routed_experts; 0: every layer is dense */
  experts: number
  /** num_experts_per_tok */
  chosen: number
  /** n_shared_experts, stored as one MLP that is so many times as wide */
  shared: number
  /** moe_intermediate_size */
  inner: number
  /** first_k_dense_replace: layers before it have a plain MLP */
  firstLayer: number
  every: number
  /** n_group and topk_group; null: experts are chosen without groups */
  groups: { count: number; chosen: number } | null
  /** routed_scaling_factor */
  scale: number
  /** norm_topk_prob */
  normalized: boolean
}

/**
 * Where a field is missing it is what transformers' configuration class of the generation has; a config without
 * n_routed_experts is dense.
 * @throws AppError CONFIG_UNSUPPORTED where the numbers do not divide
 */
export function readDeepSeekExperts(fields: Fields): DeepSeekExperts {
  const third = fields.any('model_type') === 'deepseek_v3'
  const experts = fields.countOr(0, 'n_routed_experts')
  requireListable('n_routed_experts', experts, fields.layers('num_hidden_layers'))
  const grouped = third || fields.any('topk_method') === 'group_limited_greedy'
  const count = grouped ? fields.sizeOr(third ? 8 : 1, 'n_group') : 1
  const best = grouped ? fields.sizeOr(third ? 4 : 1, 'topk_group') : 1
  const read: DeepSeekExperts = {
    experts,
    chosen: fields.sizeOr(third ? 8 : 1, 'num_experts_per_tok'),
    shared: fields.countOr(0, 'n_shared_experts'),
    inner: experts > 0 ? fields.size('moe_intermediate_size') : 0,
    firstLayer: fields.countOr(third ? 3 : 0, 'first_k_dense_replace'),
    every: fields.sizeOr(1, 'moe_layer_freq'),
    groups: best < count ? { count, chosen: best } : null,
    scale: fields.number(third ? 2.5 : 1, 'routed_scaling_factor'),
    normalized: fields.flag(third, 'norm_topk_prob'),
  }
  if (experts > 0) requireWhole(read, count)
  // Its groups are as good as their two best experts.
  if (third && experts > 0 && read.groups && experts / count < 2) {
    unsupported('n_group', count, `of ${experts} experts a group has only one, and two are compared`)
  }
  return read
}

function requireWhole({ experts, chosen, groups }: DeepSeekExperts, count: number): void {
  if (experts % count !== 0) unsupported('n_group', count, `${experts} experts do not divide into it`)
  const open = groups === null ? experts : (experts / count) * groups.chosen
  if (chosen > open) unsupported('num_experts_per_tok', chosen, `a token may choose among ${open} experts`)
}

/** Whether a layer has experts in place of its MLP. */
export function hasExperts({ experts, firstLayer, every }: DeepSeekExperts, layer: number): boolean {
  return experts > 0 && layer >= firstLayer && layer % every === 0
}
