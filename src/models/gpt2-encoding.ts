import { AppError } from '../errors.ts'
import { textsOf } from './token-texts.ts'

/** Bytes of one word: js-tiktoken's merging takes time by their square, 0.3 s at this length. */
const longestWord = 2048
const endOfText = 50_256

export interface Gpt2Encoding {
  vocabularySize: number
  encode(text: string): number[]
  decode(ids: readonly number[]): string
  texts(ids: readonly number[]): string[]
}

let loaded: Promise<Gpt2Encoding> | null = null

/**
 * GPT-2's byte-pair encoding (r50k_base; Radford et al. 2019, section 2.2), without any file of a checkpoint. As Hugging
 * Face's tokenizer of gpt2 does, a literal <|endoftext|> becomes that token, and decoding leaves it out.
 */
export function loadGpt2Encoding(): Promise<Gpt2Encoding> {
  loaded ??= load()
  return loaded
}

async function load(): Promise<Gpt2Encoding> {
  const [{ Tiktoken }, { default: ranks }] = await Promise.all([
    import('js-tiktoken/lite'),
    import('js-tiktoken/ranks/r50k_base'),
  ])
  const encoding = new Tiktoken(ranks)
  return {
    vocabularySize: endOfText + 1,
    encode(text) {
      for (const [word] of text.matchAll(new RegExp(ranks.pat_str, 'gu'))) {
        const bytes = Buffer.byteLength(word)
        if (bytes <= longestWord) continue
        throw new AppError(
          'LIMIT_EXCEEDED',
          `the prompt holds a word of ${bytes} bytes (${JSON.stringify(word.slice(0, 20))}...); at most ${longestWord} are encoded`,
          'Break it with spaces.',
        )
      }
      return encoding.encode(text, 'all')
    },
    decode: (ids) => encoding.decode(ids.filter((id) => id !== endOfText)),
    texts: (ids) => textsOf(ids, (part) => encoding.decode([...part])),
  }
}
