import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expectedTensors } from '../../src/architecture/expected-tensors.ts'
import { readModelConfig } from '../../src/architecture/read-config.ts'
import { writeSafetensors } from '../../src/checkpoints/write-safetensors.ts'

/** GPT-2's spelling of every byte: printable ones as they are, the others from U+0100 on. */
function byteAlphabet(): string[] {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173)
  let next = 256
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++))
}

/**
 * Writes a byte-level tokenizer of one token a byte into a checkpoint's folder.
 * @param size of a vocabulary that holds the first bytes only: up to `B` with 67
 */
export function writeByteTokenizer(folder: string, size = 256): void {
  const characters = byteAlphabet().slice(0, size)
  const vocab = Object.fromEntries(characters.map((character, id) => [character, id]))
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
  writeFileSync(
    join(folder, 'tokenizer.json'),
    JSON.stringify({
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: byteLevel,
      post_processor: null,
      decoder: byteLevel,
      model: { type: 'BPE', unk_token: null, fuse_unk: false, vocab, merges: [] },
    }),
  )
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify({ tokenizer_class: 'GPT2Tokenizer' }))
}

/**
 * Writes a whole GPT-2 checkpoint of a few thousand weights, with a byte-level tokenizer of one token a byte: what a test
 * needs where `../shared` is not there.
 * @param metadata what the header of the weights says of them
 * @returns the folder
 */
export async function writeTinyCheckpoint(
  folder: string,
  contextLength = 128,
  metadata: Record<string, string> = {},
): Promise<string> {
  mkdirSync(folder, { recursive: true })
  const raw = {
    model_type: 'gpt2',
    architectures: ['GPT2LMHeadModel'],
    n_layer: 2,
    n_head: 4,
    n_embd: 32,
    n_positions: contextLength,
    n_ctx: contextLength,
    vocab_size: 256,
    activation_function: 'gelu_new',
    layer_norm_epsilon: 1e-5,
    initializer_range: 0.02,
  }
  writeFileSync(join(folder, 'config.json'), JSON.stringify(raw))
  writeByteTokenizer(folder)
  const tensors = expectedTensors(readModelConfig(raw, 'tiny')).map(({ name, shape, init }, index) => ({
    name,
    shape,
    fill: (out: Float32Array, start: number) => {
      for (let place = 0; place < out.length; place++) {
        out[place] = init === 'ones' ? 1 : init === 'zeros' ? 0 : 0.2 * Math.sin(7 * index + 1.3 * (start + place))
      }
    },
  }))
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, metadata)
  return folder
}
