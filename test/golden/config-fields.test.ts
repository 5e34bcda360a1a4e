import { describe, expect, it } from 'vitest'
import { checkTensors } from '../../src/architecture/check-tensors.ts'
import { readModelConfig } from '../../src/architecture/read-config.ts'
import type { Checkpoint } from '../../src/checkpoints/checkpoint.ts'
import { openCheckpoint } from '../../src/checkpoints/open.ts'
import { buildDecoder } from '../../src/models/decoder.ts'
import { findFamily } from '../../src/models/registry.ts'
import { readAllCases } from '../support/golden.ts'

type Json = Record<string, unknown>

/** What becomes of a config: the graph that it is built into, or why it is refused. */
function outcome(checkpoint: Checkpoint, raw: Json): string {
  try {
    const config = readModelConfig(raw, 'golden')
    const family = findFamily(config)
    const { unexpected } = checkTensors(checkpoint, config)
    if (unexpected.length > 0) return `unexpected ${unexpected.join()}`
    const { model } = buildDecoder(family, checkpoint, config, { provider: 'cpu', logits: 'last', attention: false })
    return Buffer.from(model.bytes).toString('base64')
  } catch (error) {
    return String(error)
  }
}

/** Something else of the same kind: a little off, and far off either way. */
function others(value: unknown): unknown[] {
  if (typeof value === 'boolean') return [!value]
  if (typeof value === 'number') return Number.isInteger(value) ? [value + 1, value * 8, 2] : [value * 1.5, value * 8]
  if (typeof value === 'string') return [`${value}_other`]
  if (Array.isArray(value)) return others(value[0]).map((first) => [first, ...value.slice(1)])
  return [3]
}

/** The config with one of its values changed, for each value, those within objects too. */
function* changes(raw: Json): Generator<[path: string, changed: Json[]]> {
  for (const [key, value] of Object.entries(raw)) {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      for (const [path, inner] of changes({ ...value })) {
        yield [`${key}.${path}`, inner.map((changed) => ({ ...raw, [key]: changed }))]
      }
    } else {
      yield [key, others(value).map((other) => ({ ...raw, [key]: other }))]
    }
  }
}

const folders = new Map((await readAllCases()).map(({ name, folder }) => [name, folder]))

describe.each([...folders])('the config.json of %s', (name, folder) => {
  it('says nothing that is passed over, but for what changes no number', async () => {
    const checkpoint = await openCheckpoint(folder)
    const usual = outcome(checkpoint, checkpoint.config)
    const passedOver = [...changes(checkpoint.config)]
      .filter(([, changed]) => changed.every((raw) => outcome(checkpoint, raw) === usual))
      .map(([path]) => path.replace(/^text_config\./, ''))
    const told = passedOver.filter((path) => !harmless.has(path) && !path.startsWith('vision_config.'))
    expect(told.sort()).toEqual([...(silentHere[name] ?? [])].sort())
  })
})

/** What transformers passes over too, or has no part to play in these sizes. */
const derived = ['head_dim', 'qk_head_dim'] // transformers sets both from the widths of their parts
const unusedWindow = ['max_window_layers', 'sliding_window', 'use_sliding_window'] // off, and no layer would have one
/** Of so few frequencies none lies where these draw the line: test/golden/rope.test.ts holds YaRN to whole tables. */
const yarn = (where: string) =>
  ['beta_fast', 'beta_slow', 'original_max_position_embeddings'].map((field) => `${where}.${field}`)
const groups = ['n_group', 'topk_group'] // the router has none
const silentHere: Readonly<Record<string, readonly string[]>> = {
  'deepseek_v2/lite': [...derived, ...groups, ...yarn('rope_scaling')],
  'deepseek_v2/grouped': [...derived, ...yarn('rope_scaling')],
  'deepseek_v3/grouped': [...derived, ...yarn('rope_parameters')],
  // No layer has experts.
  'deepseek_v3/dense': [
    ...derived,
    'first_k_dense_replace',
    'moe_intermediate_size',
    'n_routed_experts',
    'n_shared_experts',
    'norm_topk_prob',
    'routed_scaling_factor',
    'topk_group',
  ],
  // What misleads about falcon-7b: multi_query decides.
  'falcon/falcon_7b': ['num_kv_heads'],
  // new_decoder_architecture decides.
  'falcon/falcon_40b': ['multi_query'],
  'falcon/falcon_11b': ['multi_query'],
  // The outer model_type decides.
  'gemma3/nested': ['model_type'],
  // Either of the two says MQA, and the weights have room for nothing else.
  'gpt_bigcode/mqa': ['multi_query', 'num_key_value_heads'],
  // See yarn above.
  'llama_rope/yarn': ['rope_scaling.beta_fast'],
  // For longrope alone.
  'phi3/window': ['original_max_position_embeddings'],
  'qwen2/gqa': unusedWindow,
  'qwen3/gqa': unusedWindow,
  'qwen3/mqa_bias': unusedWindow,
}

/** What neither runtime reads to compute logits: training, generation, formats, and what other programs note down. */
const harmless = new Set([
  'architectures',
  'attention_dropout',
  'attn_pdrop',
  'bos_token_id',
  'cache_implementation',
  'classifier_dropout',
  'embd_pdrop',
  'embed_dropout',
  'embedding_dropout',
  'eos_token_id',
  'hidden_dropout',
  'initializer_range',
  'is_decoder',
  'max_position_embeddings',
  'output_router_logits',
  'pad_token_id',
  'pretraining_tp',
  'resid_dropout',
  'resid_pdrop',
  'residual_dropout',
  'router_aux_loss_coef',
  'router_jitter_noise',
  'seq_aux',
  'summary_activation',
  'summary_first_dropout',
  'summary_proj_to_labels',
  'summary_type',
  'summary_use_proj',
  'torch_dtype',
  'transformers_version',
  'ep_size',
  'num_nextn_predict_layers',
  'reorder_and_upcast_attn',
  'attention_softmax_in_fp32',
  'scale_attention_softmax_in_fp32',
  'mm_tokens_per_image',
  'use_cache',
])
