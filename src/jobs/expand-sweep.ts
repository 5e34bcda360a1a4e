import type { HubSettings } from '../config.ts'
import { AppError } from '../errors.ts'
import type { SweepAxis } from './glossary.ts'
import {
  type BenchmarkSpec,
  type BenchmarkTest,
  parseSpec,
  type RunSpec,
  type SubjectSpec,
  type SweepSpec,
  specLimits,
} from './spec.ts'
import { testName } from './spec-names.ts'
import { type PlannedSubject, planSubjects } from './subjects.ts'

/** Least and greatest value of an axis, and what one of its values is. */
const valuesOf: Record<SweepAxis, { least: number; most: number; what: string }> = {
  DEPTH: { least: 0, most: specLimits.tokens, what: 'a depth' },
  PROMPT_TOKENS: { least: 1, most: specLimits.tokens, what: 'a prompt' },
  BATCH: { least: 1, most: specLimits.batch, what: 'a batch' },
  KV_HEADS: { least: 1, most: 4096, what: 'a number of K/V heads' },
  THREADS: { least: 1, most: specLimits.threads, what: 'a number of threads' },
}

/** Fields of a test that an axis sets, and what they hold where the axis is free. */
const testFields = {
  DEPTH: { field: 'depth', free: 0 },
  PROMPT_TOKENS: { field: 'promptTokens', free: null },
  BATCH: { field: 'batch', free: 1 },
} as const

/**
 * A benchmark's spec with a test or a subject for each value of its sweep; `sweep` stays in it as a record. A spec without
 * one, and one of another kind, comes back as it was. Depth, prompt and batch multiply the tests; K/V heads and threads
 * the subjects, which are then named after their model and the value (`gpt2-kv4`, `gpt2-t2`). K/V heads that the model
 * has by itself are no conversion, and keep its name.
 * @param roots the folders that models may lie in, and `hub` where else, read where subjects are multiplied
 * @throws AppError VALIDATION_FAILED where a value makes no sense on the axis or a test or subject says its own already,
 * LIMIT_EXCEEDED naming the limit that the multiplied spec breaks, and those of planSubjects
 */
export async function expandSweep(spec: RunSpec, roots: readonly string[], hub: HubSettings): Promise<RunSpec> {
  if (spec.kind !== 'BENCHMARK' || spec.sweep === null) return spec
  const { axis, values } = spec.sweep
  checkValues(spec.sweep)
  if (axis === 'KV_HEADS' || axis === 'THREADS') {
    checkSubjects(spec, axis)
    refuseMoreThan(specLimits.subjects, spec.subjects.length, values.length, 'subject')
    const planned = await planSubjects(spec.subjects, roots, hub)
    return parseSpec({
      ...spec,
      subjects: planned.flatMap((one) => values.map((value) => subjectAt(one, axis, value))),
    })
  }
  checkTests(spec, axis)
  refuseMoreThan(specLimits.tests, spec.tests.length, values.length, 'test')
  const tests = spec.tests.flatMap((test) => values.map((value) => ({ ...test, [testFields[axis].field]: value })))
  refuseSameTests(tests)
  return parseSpec({ ...spec, tests })
}

function checkValues({ axis, values }: SweepSpec): void {
  const { least, most, what } = valuesOf[axis]
  for (const value of values) {
    if (value < least) {
      throw new AppError(
        'VALIDATION_FAILED',
        `sweep.values holds ${value}, and ${what} is at least ${least}`,
        `Take ${value} out of sweep.values.`,
      )
    }
    if (value > most) {
      throw new AppError(
        'LIMIT_EXCEEDED',
        `sweep.values holds ${value}, and ${what} is at most ${most}`,
        `Take ${value} out of sweep.values.`,
      )
    }
  }
}

function checkTests({ tests }: BenchmarkSpec, axis: keyof typeof testFields): void {
  const { field, free } = testFields[axis]
  if (tests.length === 0) {
    throw new AppError(
      'VALIDATION_FAILED',
      `a sweep over ${axis} multiplies the tests, and there is none`,
      'Give a test, such as 32 generatedTokens.',
    )
  }
  for (const test of tests) {
    if (free === null && test.promptTokens === 0) {
      throw new AppError(
        'VALIDATION_FAILED',
        `a sweep over ${axis} sets promptTokens, and ${testName(test)} has none`,
        'Sweep DEPTH to generate after longer and longer prompts, or give tests with promptTokens.',
      )
    }
    if (free !== null && test[field] !== free) {
      throw new AppError(
        'VALIDATION_FAILED',
        `a sweep over ${axis} sets ${field}, and ${testName(test)} says its own`,
        `Leave ${field} out of the test, or list the tests without a sweep.`,
      )
    }
  }
}

function refuseSameTests(tests: readonly BenchmarkTest[]): void {
  const names = tests.map(testName)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice === undefined) return
  throw new AppError(
    'VALIDATION_FAILED',
    `the sweep makes the test ${twice} of two of the tests given`,
    'Give tests that differ in more than what is swept.',
  )
}

function checkSubjects({ subjects }: BenchmarkSpec, axis: 'KV_HEADS' | 'THREADS'): void {
  for (const [index, subject] of subjects.entries()) {
    const own = axis === 'KV_HEADS' ? subject.convert?.kvHeads : subject.threads
    if (own === undefined || own === null) continue
    const field = axis === 'KV_HEADS' ? 'convert' : 'threads'
    throw new AppError(
      'VALIDATION_FAILED',
      `a sweep over ${axis} sets ${axis === 'KV_HEADS' ? 'convert.kvHeads' : 'threads'}, and subjects.${index} has ${own} of its own`,
      `Leave ${field} out of the subject, or list the subjects without a sweep.`,
    )
  }
}

function refuseMoreThan(most: number, count: number, values: number, what: 'subject' | 'test'): void {
  if (count * values <= most) return
  throw new AppError(
    'LIMIT_EXCEEDED',
    `${values} values of the sweep make ${count * values} ${what}s of ${count}; a run has at most ${most}`,
    'Ask for fewer values, or start several runs.',
  )
}

function subjectAt({ spec, config }: PlannedSubject, axis: 'KV_HEADS' | 'THREADS', value: number): SubjectSpec {
  if (axis === 'THREADS') return { ...spec, threads: value, name: `${spec.name}-t${value}` }
  const own = config.attention.every(({ kvHeads }) => kvHeads === value)
  if (own) return spec
  return { ...spec, convert: { kvHeads: value, method: 'MEAN' }, name: `${spec.name}-kv${value}` }
}
