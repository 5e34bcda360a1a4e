import { resolve } from 'node:path'
import type { StartBenchmarkInput } from '../generated/operations.ts'

export interface DemoOptions {
  small?: true
  quick?: true
  /** folders of real checkpoints; none: three synthetic variants of one model */
  model?: string[]
}

/** Nine tokens in GPT-2's encoding, as the lecture counts them. */
const prompt = 'the quick brown fox jumps over the lazy dog'
const promptTokens = 9

/**
 * Blocks and seconds for each test. Ten blocks give a decode its interval; a prefill of 512 tokens is long enough for
 * five to do, and the seconds end it there, since a run has one number of blocks. A step of decode is timed over
 * `generated` tokens at once.
 */
const sizes = {
  full: { blocks: 10, maxSeconds: 15, prefill: 512, depth: 512, generated: 6 },
  quick: { blocks: 5, maxSeconds: 6, prefill: 128, depth: 256, generated: 4 },
}

/**
 * What the demo asks the API for: gpt2-medium's shape as MHA, GQA and MQA, or the checkpoints named.
 * @param context positions of the model that has fewest
 */
export function planDemo(options: DemoOptions, context: number): StartBenchmarkInput {
  const { blocks, maxSeconds, generated, ...most } = options.quick ? sizes.quick : sizes.full
  const within = (size: number, beside: number) => {
    let fitting = size
    while (fitting > 1 && fitting + beside > context) fitting = Math.floor(fitting / 2)
    return fitting
  }
  const decode = (depth: number) => ({ generatedTokens: generated, depth })
  const depth = within(most.depth, generated)
  return {
    subjects: subjectsOf(options),
    prompt,
    tests: [
      { promptTokens: within(most.prefill, 0) },
      ...(depth > promptTokens ? [decode(promptTokens)] : []),
      decode(depth),
    ],
    blocks,
    maxSeconds,
    note: 'kvscope demo',
    labels: [{ key: 'made-by', value: 'demo' }],
  }
}

function subjectsOf({ small, model = [] }: DemoOptions): StartBenchmarkInput['subjects'] {
  if (model.length > 0) return model.map((path) => ({ source: { local: { path: resolve(path) } } }))
  const source = { synthetic: { preset: small ? 'gpt2' : 'gpt2-medium', seed: 0 } }
  return [{ source }, { source, convert: { kvHeads: 4 } }, { source, convert: { kvHeads: 1 } }]
}
