import type { StartBenchmarkInput } from '../generated/operations.ts'
import { diversityPrompts } from '../heads/prompts.ts'
import { checkpointSource } from './source.ts'
import type { RunInput } from './submit-run.ts'

export type SubjectInput = StartBenchmarkInput['subjects'][number]

export interface DemoOptions {
  small?: true
  quick?: true
  /** folders of real checkpoints, or hub:ORG/NAME[@REVISION]; none: three synthetic variants of one model */
  model?: string[]
}

/** Nine tokens in GPT-2's encoding, as the lecture counts them. */
const prompt = 'the quick brown fox jumps over the lazy dog'
const promptTokens = 9

/**
 * Blocks, and seconds for each test, which end a full run after five to ten blocks: every block loads the models anew. A
 * step of decode is timed over `generated` tokens at once.
 */
const sizes = {
  full: { blocks: 10, maxSeconds: 15, prefill: 256, depth: 512, generated: 6 },
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
  if (model.length > 0) return model.map((named) => ({ source: checkpointSource(named) }))
  const source = { synthetic: { preset: small ? 'gpt2' : 'gpt2-medium', seed: 0 } }
  return [{ source }, { source, convert: { kvHeads: 4 } }, { source, convert: { kvHeads: 1 } }]
}

/** Prompts besides the lecture's over which heads are compared; four make five, the fewest for an interval. */
const comparedPrompts = { full: diversityPrompts.length, quick: 4 }
/** Tokens that a tokenizer may put around a text. */
const added = 8

/**
 * What the second part asks of one subject: its K and V matrices of layer 0, as the lecture shows them, and the maps of its
 * last layer over the lecture's prompt, with the heads compared over more prompts. Not with baselines: random weights are
 * their own, and those of a checkpoint would be written to disk first.
 * @param context positions of the model that has fewest: all are compared over the same prompts. A text's bytes bound its
 * tokens.
 */
export function planHeads(
  subject: SubjectInput,
  context: number,
  quick: boolean,
): { weights: RunInput; attention: RunInput } {
  const fitting = diversityPrompts.map(({ text }) => text).filter((text) => Buffer.byteLength(text) + added <= context)
  const prompts = [prompt, ...fitting.slice(0, quick ? comparedPrompts.quick : comparedPrompts.full)]
  const about = { note: 'kvscope demo', labels: [{ key: 'made-by', value: 'demo' }] }
  return {
    weights: { kind: 'WEIGHT_SLICES', input: { subject, layers: [0], projections: ['K', 'V'], ...about } },
    attention: { kind: 'ATTENTION_MAPS', input: { subject, prompts, baselines: false, ...about } },
  }
}
