import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { z } from 'zod'
import { readEnvironment } from '../src/bench/environment.ts'
import { runBenchmark } from '../src/bench/run-benchmark.ts'
import { benchmarkSpec } from '../src/jobs/spec.ts'
import { compiledFile, packageFile } from '../src/package-folder.ts'

// Two subjects that are the same model, timed by kvscope's own engine as any two subjects are: what differs is noise.

const milliseconds = z.array(z.number().positive())

/** One run of a benchmark: one load of both subjects, one test, and every block of it. */
const session = z.object({
  model: z.string(),
  test: z.string(),
  /** whether every block loaded both subjects anew */
  reload: z.boolean(),
  /** one-minute load averages before and after */
  load: z.tuple([z.number(), z.number()]),
  baseline: milliseconds,
  candidate: milliseconds,
})
export type Session = z.infer<typeof session>

const recording = z.object({
  how: z.string(),
  recordedAt: z.string(),
  cpu: z.string(),
  cores: z.number(),
  os: z.string(),
  onnxruntime: z.string(),
  sessions: z.array(session),
})
export type Recording = z.infer<typeof recording>

const sources = {
  // Its weights stay in the processor's caches.
  tiny: { preset: 'gpt2', overrides: { n_layer: 4, n_embd: 128, n_head: 4, vocab_size: 1000, n_positions: 512 } },
  // Every token reads 340 MB of memory.
  small: { preset: 'gpt2', overrides: { vocab_size: 1000 } },
} as const
const tests = {
  tiny: [{ generatedTokens: 64, depth: 64 }, { promptTokens: 448 }],
  small: [{ generatedTokens: 4, depth: 128 }, { promptTokens: 64 }],
} as const

export const recordedModels = ['tiny', 'small'] as const
export type RecordedModel = (typeof recordedModels)[number]

export interface SessionOptions {
  blocks: number
  seed: number
  reload: boolean
}

/** Loads a model twice in this process and times both in every block. @returns a session for decode and one for prefill */
export async function recordSessions(
  model: RecordedModel,
  { blocks, seed, reload, dataDir }: SessionOptions & { dataDir: string },
): Promise<Session[]> {
  const source = { synthetic: { seed: 0, ...sources[model] } }
  const spec = benchmarkSpec.parse({
    kind: 'BENCHMARK',
    version: 1,
    subjects: [
      { source, name: 'baseline' },
      { source, name: 'candidate' },
    ],
    tests: tests[model],
    blocks,
    seed,
    reload,
  })
  const samples = new Map<string, number[][]>()
  const { environment } = await runBenchmark(
    spec,
    { dataDir, modelRoots: [] },
    {
      progress: () => undefined,
      subjects: () => undefined,
      series(rows) {
        for (const row of rows) {
          if (row.test === '') continue
          const sides = samples.get(row.test) ?? []
          sides[row.subjectIndex] = row.samples.map((value) => Number(value.toPrecision(5)))
          samples.set(row.test, sides)
        }
      },
    },
  )
  const load: Session['load'] = [environment.loadAtStart, environment.loadAtEnd]
  return [...samples].map(([test, [baseline = [], candidate = []]]) => ({
    model,
    test,
    reload,
    load,
    baseline,
    candidate,
  }))
}

/** What a recording says of where it was made. */
export function machineOf(): Omit<Recording, 'how' | 'recordedAt' | 'sessions'> {
  const { cpu, cores, os, onnxruntime } = readEnvironment()
  return { cpu, cores, os, onnxruntime }
}

/** The same in a process of its own, as each run of a benchmark has. */
export async function recordInOwnProcess(
  model: RecordedModel,
  { blocks, seed, reload }: SessionOptions,
): Promise<Session[]> {
  const options = [
    '--model',
    model,
    '--seed',
    String(seed),
    '--blocks',
    String(blocks),
    ...(reload ? ['--reload'] : []),
  ]
  const { stdout } = await promisify(execFile)(process.execPath, [compiledFile('bench/record-series.ts'), ...options], {
    maxBuffer: 1 << 26,
  })
  return z.array(session).parse(JSON.parse(stdout))
}

/** @throws ZodError where the file is no recording */
export async function readRecording(name: string): Promise<Recording> {
  return recording.parse(JSON.parse(await readFile(packageFile(`bench/recorded/${name}`), 'utf8')))
}
