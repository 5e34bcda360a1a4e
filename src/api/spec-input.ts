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
  const { prompt, tests, blocks, maxSeconds, targetPrecision, order, warmUp, reload, sweep, seed } = input
  return {
    kind: 'BENCHMARK',
    version: 1,
    subjects: input.subjects.map(subjectSpecOf),
    ...present({ prompt, blocks, maxSeconds, targetPrecision, order, warmUp, reload, sweep, seed }),
    ...placementOf(input),
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
    ...placementOf(input),
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
    ...placementOf(input),
  }
}

function placementOf({ placement }: Pick<StartBenchmarkInput, 'placement'>): object {
  return placement ? { placement: present(placement) } : {}
}

function subjectSpecOf({ source, name, convert, dtype, runtime, device, threads }: SubjectInput): object {
  return {
    source: sourceOf(source),
    ...present({ name, dtype, runtime, device, threads }),
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
  if (input.hub) return { hub: present(input.hub) }
  if (input.local) return { local: present(input.local) }
  return { config: input.config }
}

function present<T extends object>(fields: T): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined))
}
