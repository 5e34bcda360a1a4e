import { InvalidArgumentError } from 'commander'
import type { SweepAxis } from '../../jobs/glossary.ts'
import { numberList, type PromptAndGenerated } from './number-list.ts'

export const outputFormats = ['text', 'md', 'csv', 'json', 'jsonl'] as const
export type OutputFormat = (typeof outputFormats)[number]

/** One axis and its values, as `--sweep depth=0,512,1024` says. */
export interface AskedSweep {
  axis: SweepAxis
  values: number[]
}

/** What `kvscope bench` was asked for; what was not given is absent, so that a list and its default can be told apart. */
export interface BenchOptions {
  model?: string[]
  nPrompt?: number[]
  nGen?: number[]
  pg?: PromptAndGenerated[]
  nDepth?: number[]
  batch?: number[]
  repetitions?: number
  threads?: number[]
  kvHeads?: number[]
  prompt?: string
  seed: number
  /** seconds of each test */
  maxSeconds?: number
  /** half-width of the ratio's interval, as a share */
  targetPrecision?: number
  /** largest difference that counts as none, as a share */
  margin: number
  runtime?: ('KVSCOPE' | 'TRANSFORMERS_JS')[]
  dtype?: 'F32' | 'F16' | 'BF16'
  device?: 'CPU' | 'CUDA' | 'WEBGPU' | 'COREML' | 'DIRECTML'
  order?: 'RANDOM' | 'GIVEN'
  warmUp: boolean
  /** false: each model is loaded once */
  reload: boolean
  sweep?: AskedSweep
  host?: string
  worker?: string
  server?: string
  label?: { key: string; value: string }[]
  note?: string
}

const axes: Readonly<Record<string, SweepAxis>> = {
  depth: 'DEPTH',
  prompt: 'PROMPT_TOKENS',
  batch: 'BATCH',
  'kv-heads': 'KV_HEADS',
  threads: 'THREADS',
}

/** `depth=0,512,1024`, for commander. */
export function parseSweep(text: string): AskedSweep {
  const at = text.indexOf('=')
  const axis = axes[text.slice(0, Math.max(0, at)).trim().toLowerCase().replace('_', '-')]
  if (axis === undefined) {
    const names = Object.keys(axes).join(', ')
    throw new InvalidArgumentError(`${text} is not AXIS=LIST such as depth=0,512,1024; the axes are ${names}.`)
  }
  const values = [...new Set(numberList(0, 1_048_576)(text.slice(at + 1)))]
  if (values.length < 2) throw new InvalidArgumentError(`${text} has one value; a sweep takes two or more.`)
  return { axis, values }
}

/**
 * Arguments with llama-bench's `-pg` and `--no-warmup` spelled as `kvscope bench` parses them: a parser of one-letter flags
 * takes `-pg` for `-p g`.
 */
export function llamaBenchFlags(args: readonly string[]): string[] {
  if (args[0] !== 'bench') return [...args]
  return args.map((arg) => (arg === '-pg' ? '--pg' : arg === '--no-warmup' ? '--no-warm-up' : arg))
}
