import { readFalconForm } from '../architecture/falcon-form.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import type { Checkpoint } from '../checkpoints/checkpoint.ts'
import { fileInside } from '../checkpoints/shards.ts'
import { AppError } from '../errors.ts'
import { loadGpt2Encoding } from './gpt2-encoding.ts'
import { loadTransformers } from './load-transformers.ts'
import { textsOf } from './token-texts.ts'

/** Text to token ids and back, as one checkpoint was trained. */
export interface Tokenizer {
  /**
   * Token ids of a text, with the special tokens that the checkpoint's own settings add (BOS for Llama).
   * @throws AppError CHECKPOINT_INVALID where an id has no row in the model's vocabulary
   */
  encode(text: string): number[]
  /** Text of token ids, special tokens left out. Bytes that are no UTF-8 become U+FFFD. */
  decode(ids: readonly number[]): string
  /** Text of each token as it stands in the sequence, a space before it included; special tokens by their names. */
  texts(ids: readonly number[]): string[]
}

const tokenSizesInstead = 'Measure by token counts (promptTokens, generatedTokens) instead of a prompt.'

/**
 * The tokenizer of a checkpoint: its folder's tokenizer.json, or GPT-2's byte-pair encoding for synthetic weights of
 * models that were trained with it, whose presets have its vocabulary.
 * @throws AppError CHECKPOINT_INVALID where tokenizer.json is missing or damaged, CONFIG_UNSUPPORTED for synthetic
 * weights of a family or vocabulary that no tokenizer belongs to
 */
export async function loadTokenizer(checkpoint: Checkpoint, config: ModelConfig): Promise<Tokenizer> {
  const file = await fileInside(checkpoint.directory, 'tokenizer.json')
  if (file !== null) return withinVocabulary(await loadFromFolder(checkpoint.directory), config, file)
  if (!checkpoint.synthetic) {
    throw new AppError(
      'CHECKPOINT_INVALID',
      `${checkpoint.directory} has no tokenizer.json`,
      `Save it there with the tokenizer's save_pretrained. ${tokenSizesInstead}`,
    )
  }
  if (!readsGpt2Encoding(config)) {
    const message = `synthetic ${config.name} has no tokenizer: ${config.family} checkpoints bring their own`
    throw new AppError('CONFIG_UNSUPPORTED', message, tokenSizesInstead)
  }
  const encoding = await loadGpt2Encoding()
  if (config.vocabularySize < encoding.vocabularySize) {
    throw new AppError(
      'CONFIG_UNSUPPORTED',
      `synthetic ${config.name} has ${config.vocabularySize} tokens, GPT-2's encoding ${encoding.vocabularySize}`,
      tokenSizesInstead,
    )
  }
  return encoding
}

/** GPT-2, and falcon-rw, the Falcons with ALiBi: its data was tokenized with GPT-2's encoding (model card, tiiuae). */
function readsGpt2Encoding({ family, raw }: ModelConfig): boolean {
  return family === 'gpt2' || (family === 'falcon' && readFalconForm(raw).alibi)
}

async function loadFromFolder(directory: string): Promise<Tokenizer> {
  const { AutoTokenizer } = await loadTransformers()
  if ((await fileInside(directory, 'tokenizer_config.json')) === null) {
    throw new AppError(
      'CHECKPOINT_INVALID',
      `${directory} has a tokenizer.json, but no tokenizer_config.json to say which special tokens it adds`,
      'Copy tokenizer_config.json from where the checkpoint came from; {} in it will do for a plain tokenizer.',
    )
  }
  try {
    const tokenizer = await AutoTokenizer.from_pretrained(directory, { local_files_only: true })
    // The clean-up of spaces would drop characters that the tokens do spell.
    const decode = (ids: readonly number[], skipSpecial: boolean) =>
      tokenizer.decode([...ids], { skip_special_tokens: skipSpecial, clean_up_tokenization_spaces: false })
    return {
      encode: (text) => tokenizer.encode(text),
      decode: (ids) => (ids.length === 0 ? '' : decode(ids, true)),
      texts: (ids) => textsOf(ids, (part) => decode(part, false)),
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new AppError(
      'CHECKPOINT_INVALID',
      `the tokenizer of ${directory} cannot be read: ${reason}`,
      'Download tokenizer.json and tokenizer_config.json again.',
      cause,
    )
  }
}

/** An id past the embedding's last row would read beyond it: refuse it where it arises. */
function withinVocabulary(tokenizer: Tokenizer, config: ModelConfig, file: string): Tokenizer {
  return {
    decode: tokenizer.decode,
    texts: tokenizer.texts,
    encode(text) {
      const ids = tokenizer.encode(text)
      const beyond = ids.find((id) => id >= config.vocabularySize)
      if (beyond === undefined) return ids
      throw new AppError(
        'CHECKPOINT_INVALID',
        `${file} gives token ${beyond}, and the model has ${config.vocabularySize} tokens`,
        'Use the tokenizer.json that belongs to this checkpoint.',
      )
    },
  }
}
