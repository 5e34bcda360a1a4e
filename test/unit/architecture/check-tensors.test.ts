import { describe, expect, it } from 'vitest'
import { checkTensors, compareTensors } from '../../../src/architecture/check-tensors.ts'
import { expectedTensors } from '../../../src/architecture/expected-tensors.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import type { Checkpoint, TensorEntry, UnreadTensor } from '../../../src/checkpoints/checkpoint.ts'

const gpt2 = { model_type: 'gpt2', n_layer: 2, n_head: 4, n_embd: 16, n_positions: 8, vocab_size: 32 }
const config = readModelConfig(gpt2, 'tiny')

/** What openCheckpoint gives for a folder of exactly the expected tensors, with `extra` beside them. */
function checkpointWith(extra: Record<string, number[]> = {}, unread: UnreadTensor[] = []): Checkpoint {
  const entry = (name: string, shape: number[]): [string, TensorEntry] => [
    name,
    { name, dtype: 'F32', shape, file: '/models/tiny/model.safetensors', offset: 0, length: 0 },
  ]
  const tensors = new Map(expectedTensors(config).map(({ name, shape }) => entry(name, shape)))
  for (const [name, shape] of Object.entries(extra)) tensors.set(...entry(name, shape))
  for (const { name } of unread) tensors.delete(name)
  const named = new Map(unread.map((tensor) => [tensor.name, tensor]))
  return { directory: '/models/tiny', config: gpt2, tensors, unread: named, fingerprint: '', synthetic: false }
}

describe('checkTensors', () => {
  it('lets a whole checkpoint pass, with the masks and the copied head that hub files have', () => {
    const extra = {
      'h.0.attn.bias': [1, 1, 8, 8],
      'h.1.attn.masked_bias': [],
      'lm_head.weight': [32, 16],
    }
    const mask = { name: 'h.1.attn.bias', dtype: 'BOOL', shape: [1, 1, 8, 8], file: '/models/tiny/model.safetensors' }
    expect(checkTensors(checkpointWith(extra, [mask]), config)).toEqual({ unexpected: [] })
  })

  it('reports what the config does not account for', () => {
    expect(checkTensors(checkpointWith({ 'h.2.ln_1.weight': [16] }), config)).toEqual({
      unexpected: ['h.2.ln_1.weight'],
    })
  })

  it('wants the head where it is not tied', () => {
    const untied = readModelConfig({ ...gpt2, tie_word_embeddings: false }, 'tiny')
    expect(() => checkTensors(checkpointWith(), untied)).toThrow(/lacks tensor "lm_head.weight" \[32, 16\]/)
  })

  it('names a tensor that is missing, with its shape and the folder', () => {
    const checkpoint = checkpointWith()
    const tensors = new Map(checkpoint.tensors)
    tensors.delete('h.1.mlp.c_fc.weight')
    expect(() => checkTensors({ ...checkpoint, tensors }, config)).toThrow(
      expect.objectContaining({
        code: 'CHECKPOINT_INVALID',
        message: '/models/tiny lacks tensor "h.1.mlp.c_fc.weight" [16, 64], which its config.json asks for',
      }),
    )
  })

  it.each([[[64, 16]], [[16]], [[16, 48, 1]]])(
    'names a tensor whose shape is %j, with both shapes and the file',
    (shape) => {
      expect(() => checkTensors(checkpointWith({ 'h.0.attn.c_attn.weight': shape }), config)).toThrow(
        expect.objectContaining({
          code: 'CHECKPOINT_INVALID',
          message: `/models/tiny/model.safetensors: tensor "h.0.attn.c_attn.weight" is [${shape.join(', ')}], and config.json asks for [16, 48]`,
        }),
      )
    },
  )

  it('names a tensor in a dtype that cannot be read', () => {
    const quantised = { name: 'wte.weight', dtype: 'F8_E4M3', shape: [32, 16], file: '/models/tiny/model.safetensors' }
    expect(() => checkTensors(checkpointWith({}, [quantised]), config)).toThrow(/"wte.weight" is stored as F8_E4M3/)
  })

  it('throws the first of all the faults that comparing finds', () => {
    const checkpoint = checkpointWith({ 'h.1.ln_2.bias': [15], stranger: [1] })
    const tensors = new Map(checkpoint.tensors)
    tensors.delete('h.0.ln_1.weight')
    const damaged = { ...checkpoint, tensors }
    const { faults, unexpected } = compareTensors(damaged, config)
    expect(faults.map(({ message }) => message)).toEqual([
      '/models/tiny lacks tensor "h.0.ln_1.weight" [16], which its config.json asks for',
      '/models/tiny/model.safetensors: tensor "h.1.ln_2.bias" is [15], and config.json asks for [16]',
    ])
    expect(unexpected).toEqual(['stranger'])
    expect(() => checkTensors(damaged, config)).toThrow(faults[0]?.message)
  })

  it("knows DeepSeek-V3's scales and prediction layer for no part of the main model", () => {
    const sizes = { hidden_size: 8, intermediate_size: 8, num_attention_heads: 2, num_hidden_layers: 1, vocab_size: 16 }
    const mla = { kv_lora_rank: 4, qk_rope_head_dim: 2, qk_nope_head_dim: 2, v_head_dim: 2 }
    const v3 = readModelConfig({ model_type: 'deepseek_v3', ...sizes, ...mla }, 'v3')
    const shapes = Object.fromEntries(expectedTensors(v3).map(({ name, shape }) => [name, shape]))
    const extra = { 'model.layers.1.eh_proj.weight': [8, 16], 'model.layers.0.mlp.up_proj.weight_scale_inv': [1, 1] }
    const { unexpected } = checkTensors(checkpointWith({ ...shapes, ...extra }), v3)
    expect(unexpected.filter((name) => name.startsWith('model.'))).toEqual([])
  })
})
