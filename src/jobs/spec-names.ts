/**
 * `pp512`, `tg128`, `pp512+tg128`, each with ` @ d4096` at depth and ` x4` for a batch: llama-bench's words. Apart from
 * jobs/spec so that the child of an execution, which is handed a parsed spec, loads no parser.
 */
export function testName(test: {
  promptTokens: number
  generatedTokens: number
  depth: number
  batch: number
}): string {
  const parts = [test.promptTokens && `pp${test.promptTokens}`, test.generatedTokens && `tg${test.generatedTokens}`]
  const depth = test.depth > 0 ? ` @ d${test.depth}` : ''
  return parts.filter(Boolean).join('+') + depth + (test.batch > 1 ? ` x${test.batch}` : '')
}

/** What a subject without a name is called: its model, and in which way it is run otherwise: `gpt2-kv4-f16`. */
export function subjectName(
  modelName: string,
  { convert, dtype, runtime }: { convert: { kvHeads: number } | null; dtype: string | null; runtime: string },
): string {
  const parts = [modelName]
  if (convert !== null) parts.push(`kv${convert.kvHeads}`)
  if (dtype !== null) parts.push(dtype.toLowerCase())
  if (runtime === 'TRANSFORMERS_JS') parts.push('transformersjs')
  return parts.join('-')
}
