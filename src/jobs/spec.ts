import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'
import { z } from 'zod'
import { type HubModel, isRepoName, isRevisionName } from '../checkpoints/hub-names.ts'
import { AppError } from '../errors.ts'
import { projections } from '../heads/rows.ts'
import { devices, runtimes, sweepAxes, weightDtypes } from './glossary.ts'
import { testName } from './spec-names.ts'

/** Limits that a spec alone decides; what needs a tokenizer or a machine is checked by the child. */
export const specLimits = {
  subjects: 16,
  tests: 32,
  blocks: 1000,
  promptBytes: 65_536,
  tokens: 1_048_576,
  batch: 64,
  threads: 256,
  maxSeconds: 86_400,
  labels: 32,
  labelLength: 256,
  noteLength: 10_000,
  nameLength: 200,
  keyLength: 256,
  prompts: 64,
  sliceRows: 65_536,
  sweepValues: 32,
} as const

const count = (most: number) => z.int().min(0).max(most)
const seed = z.int().min(0).max(0xffff_ffff)

const localSource = z.strictObject({ local: z.strictObject({ path: z.string().min(1).max(4096) }) })
const syntheticSource = z.strictObject({
  synthetic: z.strictObject({
    preset: z.string().min(1).max(100),
    seed: seed.default(0),
    overrides: z.record(z.string(), z.json()).nullable().default(null),
  }),
})
const hubSource = z.strictObject({
  hub: z
    .strictObject({
      repo: z.string().min(1).max(200),
      revision: z.string().min(1).max(200).default('main'),
      /** What the revision stood for when the run was submitted: submit fills it in, and that is what runs. */
      commit: z
        .string()
        .regex(/^[0-9a-f]{40}$/, { error: 'a commit is 40 hexadecimal digits' })
        .nullable()
        .default(null),
    })
    .refine(({ repo }) => isRepoName(repo), { error: 'a repository is ORG/NAME', path: ['repo'] })
    .refine(({ revision }) => isRevisionName(revision), {
      error: 'a revision is a branch, a tag, refs/pr/N or a commit',
      path: ['revision'],
    }),
})
const configSource = z.strictObject({ config: z.record(z.string(), z.json()) })

/** Where a model comes from. `config` describes sizes only: it can be looked at, never run. */
export const modelSource = z.union([hubSource, localSource, syntheticSource, configSource])
export type ModelSource = z.infer<typeof modelSource>
export type HubSource = z.infer<typeof hubSource>
/** As it is asked for: a hub model is pinned when its run is submitted. */
export type RunnableSource = { hub: HubModel } | z.infer<typeof localSource> | z.infer<typeof syntheticSource>

const convertSpec = z.strictObject({
  kvHeads: z.int().min(1).max(4096),
  method: z.enum(['MEAN', 'FIRST']).default('MEAN'),
})

export const subjectSpec = z
  .strictObject({
    source: z.union([hubSource, localSource, syntheticSource], {
      error: 'a subject needs a source that can be run: hub, local or synthetic',
    }),
    /** Unique in a run; submit fills in the model's name, with "-kv4" and the like (see subjectName). */
    name: z.string().min(1).max(specLimits.nameLength).nullable().default(null),
    convert: convertSpec.nullable().default(null),
    /**
     * Element type of the weights: others than the stored are a rounded or widened copy. Null: as stored. Of runtime
     * TRANSFORMERS_JS it names the export to take: there is no copy.
     */
    dtype: z.enum(weightDtypes).nullable().default(null),
    runtime: z.enum(runtimes).default('KVSCOPE'),
    device: z.enum(devices).default('CPU'),
    /** Threads of the runtime inside one operator; null: one for each physical core. */
    threads: z.int().min(1).max(specLimits.threads).nullable().default(null),
  })
  .refine(({ runtime, source }) => runtime === 'KVSCOPE' || 'local' in source, {
    error:
      'TRANSFORMERS_JS runs the ONNX export in the onnx/ of a local folder: give source local, or take runtime KVSCOPE',
    path: ['source'],
  })
  .refine(({ runtime, convert }) => runtime === 'KVSCOPE' || convert === null, {
    error:
      'TRANSFORMERS_JS runs an export as it is, and its K/V heads cannot be pooled: leave convert out, or take runtime KVSCOPE',
    path: ['convert'],
  })
export type SubjectSpec = z.infer<typeof subjectSpec>

/** Of the runs about heads, which read weights or ask the graph for its probabilities: an export gives neither. */
const ownSubject = subjectSpec.refine(({ runtime }) => runtime === 'KVSCOPE', {
  error: "heads are looked at with kvscope's own engine: take runtime KVSCOPE, or leave it out",
  path: ['runtime'],
})

/** One test in llama-bench's words; tokens are counted for each sequence of the batch. */
export const benchmarkTest = z
  .strictObject({
    promptTokens: count(specLimits.tokens).default(0),
    generatedTokens: count(specLimits.tokens).default(0),
    depth: count(specLimits.tokens).default(0),
    batch: z.int().min(1).max(specLimits.batch).default(1),
  })
  .refine((test) => test.promptTokens + test.generatedTokens > 0, {
    error: 'a test needs promptTokens or generatedTokens: with neither there is nothing to time',
  })
export type BenchmarkTest = z.infer<typeof benchmarkTest>

const promptText = z
  .string()
  .min(1)
  .refine((text) => Buffer.byteLength(text) <= specLimits.promptBytes, {
    error: `a prompt holds at most ${specLimits.promptBytes} bytes of UTF-8`,
    params: { limit: true },
  })

/** The machine or the one worker that must take the run; it waits in a queue of that name. */
const placementSpec = z
  .strictObject({
    hostname: z.string().min(1).max(255).nullable().default(null),
    workerId: z.uuid().nullable().default(null),
  })
  .refine((placement) => (placement.hostname === null) !== (placement.workerId === null), {
    error: 'a placement names a hostname or a workerId, one of them',
  })
const placement = placementSpec.nullable().default(null)

export const sweepSpec = z.strictObject({
  axis: z.enum(sweepAxes),
  values: z
    .array(z.int().min(0).max(specLimits.tokens))
    .min(2)
    .max(specLimits.sweepValues)
    .refine((values) => new Set(values).size === values.length, { error: 'the same value is there twice' }),
})
export type SweepSpec = z.infer<typeof sweepSpec>

export const benchmarkSpec = z.strictObject({
  kind: z.literal('BENCHMARK'),
  version: z.literal(1),
  subjects: z.array(subjectSpec).min(1).max(specLimits.subjects),
  /** Text of the cold and the forward phase; null: neither is measured. */
  prompt: promptText.nullable().default(null),
  /** Each once: a series is known by its subject, phase and test. */
  tests: z
    .array(benchmarkTest)
    .max(specLimits.tests)
    .refine((tests) => new Set(tests.map(testName)).size === tests.length, { error: 'the same test is there twice' })
    .default([]),
  blocks: z.int().min(1).max(specLimits.blocks).default(10),
  /** Bound on the measuring of each test, in seconds; blocks end early when it is spent. Null: only `blocks` decides. */
  maxSeconds: z.number().positive().max(specLimits.maxSeconds).nullable().default(null),
  /**
   * Half-width, as a share, that the 95 % interval of every subject's ratio to the first shall have (of the median's where
   * there is one subject): blocks go on beyond `blocks` until it has. Null: `blocks` decides.
   */
  targetPrecision: z.number().positive().max(0.5).nullable().default(null),
  /** In which order a block times its subjects: drawn anew each block, or as they are listed (a confounder, and warned of). */
  order: z.enum(['RANDOM', 'GIVEN']).default('RANDOM'),
  /** false: the first trial counts, cold as it is (warned of). */
  warmUp: z.boolean().default(true),
  /**
   * true: every block loads each subject anew, so that where its weights come to lie in memory is drawn with every block
   * and becomes noise, in place of a bias that no number of blocks averages out. Null: where there are several subjects,
   * as their differences are what the bias looks like.
   */
  reload: z.boolean().nullable().default(null),
  /** Along which axis tests or subjects were multiplied when the run was submitted; null: they stand as they were asked. */
  sweep: sweepSpec.nullable().default(null),
  placement,
  seed: seed.default(0),
})
export type BenchmarkSpec = z.infer<typeof benchmarkSpec>
export type BenchmarkSpecInput = z.input<typeof benchmarkSpec>

const index = z.int().min(0).max(65_535)
/** Layers or heads, each once. */
const indices = z
  .array(index)
  .min(1)
  .max(4096)
  .refine((list) => new Set(list).size === list.length, { error: 'the same number is there twice' })

export const weightSlicesSpec = z.strictObject({
  kind: z.literal('WEIGHT_SLICES'),
  version: z.literal(1),
  subjects: z.array(ownSubject).length(1),
  /** null: the first */
  layers: indices.nullable().default(null),
  projections: z
    .array(z.enum(projections))
    .min(1)
    .refine((list) => new Set(list).size === list.length, { error: 'the same projection is there twice' })
    .default(['K', 'V']),
  /** query heads; null: all */
  heads: indices.nullable().default(null),
  /** of the matrix, from its first; fewer where the matrix has fewer */
  rows: z.int().min(1).max(specLimits.sliceRows).default(50),
  /** of the matrix, from its first; null: all */
  columns: z.int().min(1).max(specLimits.sliceRows).nullable().default(null),
  placement,
})
export type WeightSlicesSpec = z.infer<typeof weightSlicesSpec>
export type WeightSlicesSpecInput = z.input<typeof weightSlicesSpec>

export const attentionMapsSpec = z
  .strictObject({
    kind: z.literal('ATTENTION_MAPS'),
    version: z.literal(1),
    subjects: z.array(ownSubject).length(1),
    /** null, and no tokenIds: the short prompts that kvscope brings (src/heads/prompts) */
    prompts: z.array(promptText).min(1).max(specLimits.prompts).nullable().default(null),
    /** one prompt as tokens, in place of `prompts` */
    tokenIds: z.array(z.int().min(0)).min(1).max(specLimits.tokens).nullable().default(null),
    /** null: the last */
    layers: indices.nullable().default(null),
    /** query heads; null: all */
    heads: indices.nullable().default(null),
    /** continued greedily for so many tokens after each prompt */
    generatedTokens: count(specLimits.tokens).default(0),
    /** whether heads are compared, which looks at all heads of the layers */
    diversity: z.boolean().default(true),
    /** whether the same is measured of rows shuffled, of random weights and of position alone */
    baselines: z.boolean().default(true),
    placement,
  })
  .refine((spec) => spec.prompts === null || spec.tokenIds === null, {
    error: 'give prompts or tokenIds, not both',
    path: ['tokenIds'],
  })
export type AttentionMapsSpec = z.infer<typeof attentionMapsSpec>
export type AttentionMapsSpecInput = z.input<typeof attentionMapsSpec>

/** Every kind's spec; a new kind joins the union and gets a version of its own. */
export const runSpec = z.discriminatedUnion('kind', [benchmarkSpec, weightSlicesSpec, attentionMapsSpec])
export type RunSpec = z.infer<typeof runSpec>
export type RunSpecInput = z.input<typeof runSpec>

/**
 * Parses what a client or the database says a run should do.
 * @throws AppError LIMIT_EXCEEDED or VALIDATION_FAILED naming the first field that does not fit, and its value
 */
export function parseSpec(input: unknown): RunSpec {
  const parsed = runSpec.safeParse(input)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const where = issue?.path.join('.') || 'spec'
  const given = shown(issue?.path.reduce(memberOf, input))
  const tooMuch = issue?.code === 'too_big' || (issue?.code === 'custom' && issue.params?.limit === true)
  throw new AppError(
    tooMuch ? 'LIMIT_EXCEEDED' : 'VALIDATION_FAILED',
    `${where} is ${given}: ${issue?.message ?? 'it does not fit'}`,
    tooMuch ? `Ask for less in ${where}.` : `Mend ${where} and send again.`,
  )
}

function memberOf(value: unknown, key: PropertyKey): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
}

function shown(value: unknown): string {
  if (value === undefined) return 'missing'
  if (Array.isArray(value)) return `a list of ${value.length}`
  const text = JSON.stringify(value) ?? typeof value
  return text.length > 80 ? `${text.slice(0, 80)}...` : text
}

/** The spec as canonical JSON (RFC 8785): equal specs give equal text, whatever the order of their keys. */
export function canonicalSpec(spec: RunSpec): string {
  return canonicalize(spec) ?? ''
}

/**
 * Members that version 1 has gained since its first form, with the defaults that mean what it meant before. Whatever
 * joins them later goes in here too.
 */
const laterDefaults = {
  targetPrecision: null,
  order: 'RANDOM',
  warmUp: true,
  reload: null,
  sweep: null,
  placement: null,
}
const laterSubjectDefaults = { dtype: null, runtime: 'KVSCOPE' }

/**
 * sha256 of the canonical spec, hexadecimal. What stands at a later default is left out, so that a request sent again
 * after an upgrade has the hash that was stored before it.
 */
export function specHash(spec: RunSpec): string {
  const subjects = spec.subjects.map((subject) => without(laterSubjectDefaults, subject))
  const text = canonicalize({ ...without(laterDefaults, spec), subjects }) ?? ''
  return createHash('sha256').update(text).digest('hex')
}

function without(defaults: object, members: object): object {
  const given = Object.entries(members)
  return Object.fromEntries(given.filter(([key, value]) => !(key in defaults) || memberOf(defaults, key) !== value))
}
