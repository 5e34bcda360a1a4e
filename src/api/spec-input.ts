import { AppError } from '../errors.ts'
import type {
  ModelSourceInput,
  StartAttentionMapsInput,
  StartBenchmarkInput,
  StartWeightSlicesInput,
  SubjectInput,
} from '../generated/graphql.ts'
import { type ModelSource, modelSource } from '../jobs/spec.ts'

/** A benchmark's input as the spec that jobs/spec parses: an explicit null counts as left out, as GraphQL has it. */
export function benchmarkSpecOf(input: StartBenchmarkInput): object {
  const { prompt, tests, blocks, maxSeconds, seed } = input
  return {
    kind: 'BENCHMARK',
    version: 1,
    subjects: input.subjects.map(subjectSpecOf),
    ...present({ prompt, blocks, maxSeconds, seed }),
    ...(tests && { tests: tests.map(present) }),
  }
}

/** The same of weight slices. */
export function weightSlicesSpecOf(input: StartWeightSlicesInput): object {
  const { layers, projections, heads, rows, columns } = input
  return {
    kind: 'WEIGHT_SLICES',
    version: 1,
    subjects: [subjectSpecOf(input.subject)],
    ...present({ layers, projections, heads, rows, columns }),
  }
}

/** The same of attention maps. */
export function attentionMapsSpecOf(input: StartAttentionMapsInput): object {
  const { prompts, tokenIds, layers, heads, generatedTokens, diversity, baselines } = input
  return {
    kind: 'ATTENTION_MAPS',
    version: 1,
    subjects: [subjectSpecOf(input.subject)],
    ...present({ prompts, tokenIds, layers, heads, generatedTokens, diversity, baselines }),
  }
}

function subjectSpecOf({ source, name, convert, device, threads }: SubjectInput): object {
  return {
    source: sourceOf(source),
    ...present({ name, device, threads }),
    ...(convert && { convert: present(convert) }),
  }
}

/** @throws AppError VALIDATION_FAILED */
export function modelSourceOf(input: ModelSourceInput): ModelSource {
  const parsed = modelSource.safeParse(sourceOf(input))
  if (parsed.success) return parsed.data
  throw new AppError('VALIDATION_FAILED', `source: ${parsed.error.issues[0]?.message ?? 'does not fit'}`)
}

function sourceOf(input: ModelSourceInput): object {
  if (input.synthetic) return { synthetic: present(input.synthetic) }
  if (input.local) return { local: present(input.local) }
  return { config: input.config }
}

function present<T extends object>(fields: T): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined))
}
