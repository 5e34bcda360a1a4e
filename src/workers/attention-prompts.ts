import { createHash } from 'node:crypto'
import { ensurePromptFits } from '../bench/limits.ts'
import { AppError } from '../errors.ts'
import { diversityPrompts } from '../heads/prompts.ts'
import { checkPositions } from '../jobs/check-attention-maps.ts'
import type { AttentionMapsSpec } from '../jobs/spec.ts'
import type { OpenedModel } from '../models/synthetic.ts'
import { loadTokenizer, type Tokenizer } from '../models/tokenizer.ts'

export interface EncodedPrompt {
  text: string
  tokens: number[]
  /** names the prompt's text, so that another run of the same text can be paired with it */
  key: string
}

export interface EncodedPrompts {
  prompts: EncodedPrompt[]
  /** what tokens read like, one by one */
  texts(ids: readonly number[]): string[]
}

/**
 * The prompts of a spec as tokens: its texts, its token ids, or the short texts that kvscope brings.
 * @throws AppError CONTEXT_EXCEEDED where a prompt with what is to be generated is too long for the model, and those of
 * loading a tokenizer, unless tokens were given
 */
export async function encodePrompts(
  spec: AttentionMapsSpec,
  name: string,
  { checkpoint, config }: OpenedModel,
): Promise<EncodedPrompts> {
  const { tokenIds, generatedTokens } = spec
  if (tokenIds !== null) {
    checkPositions(0, tokenIds.length, generatedTokens, name, config)
    const tokenizer = await loadTokenizer(checkpoint, config).catch(withoutOne)
    const key = keyOf(JSON.stringify(tokenIds))
    const text = tokenizer?.decode(tokenIds) ?? ''
    return { prompts: [{ text, tokens: tokenIds, key }], texts: tokenizer?.texts ?? numbered }
  }
  const tokenizer = await loadTokenizer(checkpoint, config)
  const texts = spec.prompts ?? diversityPrompts.map((prompt) => prompt.text)
  const prompts = texts.map((text, prompt) => {
    const tokens = tokenizer.encode(text)
    ensurePromptFits(name, config, tokens)
    checkPositions(prompt, tokens.length, generatedTokens, name, config)
    return { text, tokens, key: keyOf(text) }
  })
  return { prompts, texts: tokenizer.texts }
}

/** Token ids need no tokenizer, and are shown as numbers where there is none: synthetic weights of most families have none. */
function withoutOne(error: unknown): Tokenizer | null {
  if (error instanceof AppError) return null
  throw error
}

const numbered = (ids: readonly number[]) => ids.map((id) => `[${id}]`)

function keyOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
