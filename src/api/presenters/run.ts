import { z } from 'zod'
import type { RunRow, SubjectRow } from '../../db/rows.ts'
import type { ModelFacts } from '../rows.ts'

const storedEnvironment = z.object({
  hostname: z.string(),
  cpu: z.string(),
  cores: z.number(),
  memoryBytes: z.number(),
  os: z.string(),
  node: z.string(),
  onnxruntime: z.string(),
  kvscope: z.string(),
  loadAtStart: z.number(),
  loadAtEnd: z.number(),
  // Of runs that were stored before it was kept.
  timingVersion: z.number().default(1),
  bounds: z
    .object({
      bytesPerSecond: z.number(),
      flopsPerSecond: z.number(),
      threads: z.number(),
      measuredAt: z.coerce.date(),
    })
    .nullable()
    .default(null),
})
export type StoredEnvironment = z.infer<typeof storedEnvironment>

/** The environment that the latest attempt stored; null where it stored none. */
export function environmentOf(run: RunRow): StoredEnvironment | null {
  return storedEnvironment.safeParse(run.environment).data ?? null
}

export function errorOf(run: RunRow) {
  if (run.errorCode === null) return null
  return { code: run.errorCode, message: run.errorMessage ?? '', hint: run.errorHint, log: run.errorLog }
}

/** @throws Error where the row holds something else: it was written by jobs/submit, so that is a fault of ours */
export function modelOf(subject: SubjectRow): ModelFacts {
  const facts: unknown = subject.model
  if (isModelFacts(facts)) return facts
  throw new Error(`subject ${subject.index} of run ${subject.runId} has no model stored`)
}

function isModelFacts(value: unknown): value is ModelFacts {
  return typeof value === 'object' && value !== null && 'attentionKind' in value && 'kvBytesPerToken' in value
}

const weightDtypes = ['F32', 'F16', 'BF16'] as const

export function weightDtypeOf(stored: string | null): (typeof weightDtypes)[number] | null {
  return weightDtypes.find((dtype) => dtype === stored) ?? null
}
