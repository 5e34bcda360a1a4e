import type { Tokenizer } from './tokenizer.ts'

/** Turns tokens into text one at a time, for a display that cannot take back what it has shown. */
export interface TextStream {
  /** Takes one more token. @returns the text it settles, often of one token, sometimes none */
  push(id: number): string
  /** @returns what is left when no more tokens come, a broken UTF-8 sequence as U+FFFD */
  end(): string
}

/**
 * U+FFFD at the end of a decoded text: a UTF-8 sequence that the next tokens may complete. It has at most three bytes,
 * so what stands before three of them is settled, as broken bytes.
 */
const unsettled = /\uFFFD{1,3}$/

/** Tokens of the prompt that are decoded along: a tokenizer may drop the space before its very first token. */
const contextTokens = 6

/**
 * Decodes a growing sequence. A token may end in the middle of a UTF-8 sequence, and its text may depend on the one
 * before (SentencePiece's leading space), so each text is the difference of two decodings that share a few tokens.
 * @param prompt the tokens before the first pushed one; their text is not repeated
 */
export function streamText(tokenizer: Tokenizer, prompt: readonly number[] = []): TextStream {
  let window = prompt.slice(-contextTokens)
  let fresh = 0
  let shown = tokenizer.decode(window).replace(unsettled, '').length

  return {
    push(id) {
      window.push(id)
      fresh++
      const decoded = tokenizer.decode(window)
      const settled = decoded.replace(unsettled, '')
      const text = settled.slice(shown)
      shown = Math.max(shown, settled.length)
      if (settled.length === decoded.length) {
        window = window.slice(-fresh)
        fresh = 0
        shown = tokenizer.decode(window).length
      }
      return text
    },
    end: () => tokenizer.decode(window).slice(shown),
  }
}
