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
