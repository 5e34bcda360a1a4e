import { lecturePrompt } from '../../architecture/lecture-facts.ts'
import type {
  StartAttentionMapsInput,
  StartBenchmarkInput,
  StartWeightSlicesInput,
} from '../../generated/operations.ts'
import { diversityPrompts } from '../../heads/prompts.ts'
import { checkpointSource } from '../source.ts'

type SubjectInput = StartBenchmarkInput['subjects'][number]

export interface LectureOptions {
  /** tiny shapes of the same forms */
  small?: true
  /** folder of gpt2-medium, or hub:ORG/NAME[@REVISION]; none: synthetic weights of its shape */
  gpt2?: string
  /** folder of falcon-rw-1b, or hub:ORG/NAME[@REVISION]; none: synthetic weights of its shape */
  falcon?: string
}

export interface LectureSubjects {
  gpt2: SubjectInput
  falcon: SubjectInput
  /** the model of the honest pair */
  pair: SubjectInput
}

/** Positions of the models, which bound how deep they are measured. */
export interface LectureContexts {
  gpt2: number
  falcon: number
  /** of the model that the honest pair is made of */
  pair: number
}

/** What the lecture's two models are looked at for. */
export interface HeadsPlan {
  name: string
  weights: StartWeightSlicesInput
  attention: StartAttentionMapsInput
}

/** The lecture's experiment: every run that is asked for, in this order. */
export interface LecturePlan {
  /** one cold forward pass of each, gpt2 first */
  asItWas: StartBenchmarkInput
  /** the same two, warm, interleaved, at depth */
  asItShouldBe: StartBenchmarkInput
  /** one model, and the same with its K/V heads pooled into one, over depths */
  honestPair: StartBenchmarkInput
  heads: readonly HeadsPlan[]
}

interface Sizes {
  blocks: number
  maxSeconds: number
  generated: number
  /** of the two models */
  depth: number
  /** of the honest pair */
  depths: readonly number[]
  /** besides the lecture's prompt; with four there are five, the fewest for an interval */
  comparedPrompts: number
}

const sizes: Record<'full' | 'small', Sizes> = {
  full: {
    blocks: 10,
    maxSeconds: 60,
    generated: 4,
    depth: 512,
    depths: [512, 1024, 2048, 4000],
    comparedPrompts: diversityPrompts.length,
  },
  small: { blocks: 5, maxSeconds: 1, generated: 4, depth: 256, depths: [256, 1024, 2560], comparedPrompts: 4 },
}

/** The lecture counts nine tokens: the shallow depth holds them. */
const shallow = lecturePrompt.split(' ').length

/** Models of the lecture's forms that any machine holds: a Falcon twice as wide as the GPT-2, as in the lecture. */
const tiny = {
  gpt2: { preset: 'gpt2', overrides: { n_layer: 3, n_head: 4, n_embd: 256 } },
  falcon: {
    preset: 'falcon-rw-small',
    overrides: { num_hidden_layers: 3, num_attention_heads: 8, hidden_size: 512 },
  },
  pair: { preset: 'gpt2', overrides: { n_layer: 4, n_head: 8, n_embd: 512, n_positions: 4096, n_ctx: 4096 } },
} as const

/** The models: gpt2-medium and falcon-rw-1b in the lecture's order, and the one of the honest pair. */
export function lectureSubjects({ small, gpt2, falcon }: LectureOptions): LectureSubjects {
  const made = (which: keyof typeof tiny, preset: string) => ({
    synthetic: { ...(small ? tiny[which] : { preset }), seed: 0 },
  })
  const shape = (which: 'gpt2' | 'falcon', preset: string) => ({
    source: made(which, preset),
    name: small ? `tiny ${which}` : preset,
  })
  return {
    gpt2: gpt2 === undefined ? shape('gpt2', 'gpt2-medium') : { source: checkpointSource(gpt2), name: 'gpt2' },
    falcon:
      falcon === undefined ? shape('falcon', 'falcon-rw-1b') : { source: checkpointSource(falcon), name: 'falcon' },
    // gpt2-medium with room for depth; a folder has the positions that it has.
    pair: { source: gpt2 === undefined ? made('pair', 'gpt2-medium-4k') : checkpointSource(gpt2), name: 'MHA' },
  }
}

/** What the service is asked for. */
export function planLecture(options: LectureOptions, contexts: LectureContexts): LecturePlan {
  const { gpt2, falcon, pair } = lectureSubjects(options)
  const { blocks, maxSeconds, generated, comparedPrompts, ...size } = sizes[options.small ? 'small' : 'full']
  const about = (part: string) => ({
    note: `kvscope lecture: ${part}`,
    labels: [{ key: 'made-by', value: 'lecture' }],
  })
  const decode = (depth: number) => ({ generatedTokens: generated, depth })
  const context = Math.min(contexts.gpt2, contexts.falcon)
  const depth = Math.min(size.depth, context - generated)
  const depths = depthsWithin(size.depths, contexts.pair - generated)
  const prompts = [lecturePrompt, ...fittingPrompts(context).slice(0, comparedPrompts)]
  return {
    asItWas: {
      ...about('the experiment as it was'),
      subjects: [gpt2, falcon],
      prompt: lecturePrompt,
      tests: [],
      blocks: 1,
      order: 'GIVEN',
      warmUp: false,
    },
    asItShouldBe: {
      ...about('the two models as they should be timed'),
      subjects: [gpt2, falcon],
      prompt: lecturePrompt,
      tests: [decode(Math.min(shallow, depth)), ...(depth > shallow ? [decode(depth)] : [])],
      blocks,
      maxSeconds,
    },
    honestPair: {
      ...about('one model, its K/V heads pooled'),
      subjects: [pair, { ...pair, name: 'MQA', convert: { kvHeads: 1 } }],
      tests: [{ generatedTokens: generated }],
      sweep: { axis: 'DEPTH', values: depths },
      blocks,
      maxSeconds,
    },
    heads: [gpt2, falcon].map((subject) => ({
      name: subject.name ?? '',
      weights: { ...about('its weights'), subject, layers: [0], projections: ['Q', 'K', 'V'], rows: 50 },
      attention: { ...about('its attention'), subject, prompts, baselines: false },
    })),
  }
}

/** The depths, or where the deepest does not fit the greatest that does and its fractions: a slope needs several. */
function depthsWithin(depths: readonly number[], most: number): number[] {
  if (Math.max(...depths) <= most) return [...depths]
  return [...new Set([8, 4, 2, 1].map((part) => Math.max(1, Math.floor(most / part))))]
}

/** Tokens that a tokenizer may put around a text; a text's bytes bound its tokens. */
const added = 8

function fittingPrompts(context: number): string[] {
  return diversityPrompts.map(({ text }) => text).filter((text) => Buffer.byteLength(text) + added <= context)
}
