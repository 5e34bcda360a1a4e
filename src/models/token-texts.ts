/**
 * Texts of tokens by a decoder of sequences: what each adds to the text of the one before it, for decoders drop the space
 * at a text's beginning. Where two tokens make up one character, what each gives alone.
 */
export function textsOf(ids: readonly number[], decode: (ids: readonly number[]) => string): string[] {
  return ids.map((id, index) => {
    const before = ids.slice(Math.max(0, index - 1), index)
    const start = before.length === 0 ? '' : decode(before)
    const both = decode([...before, id])
    return both.startsWith(start) ? both.slice(start.length) : decode([id])
  })
}
