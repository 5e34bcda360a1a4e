import { routedWidth } from '../architecture/active-parameters.ts'
import { expectedTensors } from '../architecture/expected-tensors.ts'
import { kvBytesPerToken, kvCacheBytes } from '../architecture/kv-bytes.ts'
import { valuesPerToken } from '../architecture/kv-values.ts'
import { latentStepValues } from '../architecture/latent-step.ts'
import { parameterCount } from '../architecture/parameters.ts'
import type { WeightDtype } from '../checkpoints/checkpoint.ts'
import type { BenchmarkSpec, BenchmarkTest, SubjectSpec } from '../jobs/spec.ts'
import { rowsToKeep } from '../models/kv-cache.ts'
import { groupTests, positionsOf, tokensPerStep } from './plan.ts'
import { planSubject, type SubjectPlan } from './subject-config.ts'

/** Bytes that one subject will hold while the others are loaded too. */
export interface SubjectMemory {
  name: string
  weights: number
  /** keys and values of the largest test */
  kvCache: number
  /** scores, activations and logits of the largest step */
  step: number
}

export interface ResourceEstimate {
  /** resident set of the process that runs the benchmark, all subjects loaded, one test after the other */
  memoryBytes: number
  /** the same where all points of a sweep share blocks, so that each has its cache; `memoryBytes` where none do */
  sweptBytes: number
  /** the same where each subject is loaded alone: the largest's */
  inTurnBytes: number
  /** the same with the filled caches of all subjects' tests kept beside it from block to block */
  inTurnKeptBytes: number
  /** files that synthetic weights and conversions need, on an empty data folder; nothing where they stand already */
  diskBytes: number
  subjects: SubjectMemory[]
}

/** Node with the runtime's library loaded, its code and its garbage: 180 MB were seen on Linux. */
const processBytes = 180e6
/** What is held of an export's weights in f32: those of the matrix products in the runtime's own packing, and some twice. */
const packing = 1.2
const bytesPerValue = 4

/** What decides the memory of a loaded subject; without `exported` kvscope's own engine runs it. */
type LoadedSubject = Pick<SubjectPlan, 'config' | 'dtype'> & Partial<Pick<SubjectPlan, 'exported'>>

/**
 * What a benchmark will take of memory and disk, from configs alone: no weight is read, no runtime loaded.
 * @throws AppError as planSubject does
 */
export async function estimateResources(spec: BenchmarkSpec, modelRoots: readonly string[]): Promise<ResourceEstimate> {
  const plans = await Promise.all(spec.subjects.map((subject) => planSubject(subject, modelRoots)))
  return estimatePlanned(spec, plans)
}

/** @param prompts tokens of the prompt for each subject, once they are known; null or missing: no prompt counts */
export function estimatePlanned(
  spec: BenchmarkSpec,
  plans: readonly SubjectPlan[],
  prompts: readonly (number | null)[] = [],
): ResourceEstimate {
  const subjects = plans.map((plan, index) =>
    subjectMemory(plan, [...spec.tests, ...promptTest(prompts[index] ?? null)]),
  )
  // Only one computes at a time, but the runtime keeps what each one's largest step took.
  const held = subjects.reduce((sum, subject) => sum + subject.weights + subject.kvCache + subject.step, 0)
  const memoryBytes = processBytes + held
  const groups = groupTests(spec.tests, spec.sweep)
  const furtherCaches = plans.map((plan, index) => {
    const ofGroups = groups.map((tests) => tests.reduce((sum, test) => sum + cachedBytes(plan, test), 0))
    return Math.max(0, Math.max(0, ...ofGroups) - (subjects[index]?.kvCache ?? 0))
  })
  const alone = subjects.map(({ weights, kvCache, step }) => processBytes + weights + kvCache + step)
  const kept = plans.reduce((all, plan) => spec.tests.reduce((sum, test) => sum + filledBytes(plan, test), all), 0)
  return {
    memoryBytes: Math.ceil(memoryBytes),
    sweptBytes: Math.ceil(furtherCaches.reduce((sum, bytes) => sum + bytes, memoryBytes)),
    inTurnBytes: Math.ceil(Math.max(...alone)),
    inTurnKeptBytes: Math.ceil(Math.max(...alone) + kept),
    diskBytes: diskBytes(spec.subjects, plans),
    subjects,
  }
}

export interface PeakQuestion {
  /** the subjects whose weights are loaded */
  present: readonly number[]
  /** what each of them has done so far, this test included: the runtime keeps the memory of the largest step */
  done: readonly BenchmarkTest[]
  /** the tests that each has a cache for */
  cached: readonly BenchmarkTest[]
}

/** Resident set at its highest at some point of a run, as `estimateResources` adds up the whole. */
export function predictPeak(plans: readonly LoadedSubject[], { present, done, cached }: PeakQuestion): number {
  let bytes = processBytes
  for (const [index, plan] of plans.entries()) {
    if (!present.includes(index)) continue
    bytes += weightBytes(plan) + Math.max(0, ...done.map((one) => stepBytes(plan, one)))
    for (const test of cached) bytes += cachedBytes(plan, test)
  }
  return Math.ceil(bytes)
}

/** The cold and the warm forward of a prompt take what a prefill of its length does. */
function promptTest(promptTokens: number | null): BenchmarkTest[] {
  return promptTokens === null ? [] : [{ promptTokens, generatedTokens: 0, depth: 0, batch: 1 }]
}

function subjectMemory(plan: SubjectPlan, tests: readonly BenchmarkTest[]): SubjectMemory {
  const weights = weightBytes(plan)
  const kvCache = Math.max(0, ...tests.map((test) => cachedBytes(plan, test)))
  const step = Math.max(0, ...tests.map((test) => stepBytes(plan, test)))
  return { name: plan.name, weights: Math.ceil(weights), kvCache: Math.ceil(kvCache), step: Math.ceil(step) }
}

/**
 * onnxruntime packs f32 weights into memory of its own for its matrix products and lets their pages of the file go; a tied
 * table is packed for the logits and looked up in the file as well, so it counts twice. 16-bit weights are widened on load:
 * the file's own pages come on top of the f32 copy. Exports count by their files;
 * quantised weights are packed anew, and weights inside the graph's own file are held once more while it is parsed.
 */
function weightBytes({ config, dtype, exported = null }: LoadedSubject): number {
  if (exported !== null) {
    const copies = dtype === 'F32' ? packing : dtype === null ? 2 : 1 + 2 * packing
    return exported.bytes * (copies + (exported.files.length === 1 ? 1 : 0))
  }
  const table = config.tiedEmbeddings ? config.vocabularySize * config.hiddenSize : 0
  return bytesPerValue * (parameterCount(config) + table) + (dtype === 'F32' ? 0 : 2 * parameterCount(config))
}

/** Resident set of a process that has loaded one model and computes nothing yet. */
export function loadedBytes(subject: LoadedSubject): number {
  return Math.ceil(processBytes + weightBytes(subject))
}

/** transformers.js is held at the depth that trials are cut back to, beside what the last step returned. */
function cachedBytes(subject: LoadedSubject, test: BenchmarkTest): number {
  return subject.exported ? 2 * wholeCache(subject, test) : wholeCache(subject, test) + keptBytes(subject, test)
}

/** Rows that the rings of windows lose in a trial, which are put back before the next one. */
function keptBytes({ config }: LoadedSubject, { depth, promptTokens, generatedTokens, batch }: BenchmarkTest): number {
  const values = config.attention.map((shape) => {
    const window = shape.window ?? Number.POSITIVE_INFINITY
    return valuesPerToken(shape) * rowsToKeep(window, depth, promptTokens + generatedTokens)
  })
  return values.reduce((sum, count) => sum + count, 0) * batch * bytesPerValue
}

/** What a test's cache is filled with before its trials. */
function filledBytes(subject: LoadedSubject, { depth, batch }: BenchmarkTest): number {
  return wholeCache(subject, { depth, batch, promptTokens: 0, generatedTokens: 0 })
}

function wholeCache({ config, exported = null }: LoadedSubject, test: BenchmarkTest): number {
  const bitsPerValue = exported?.cached === 'F16' ? 16 : 8 * bytesPerValue
  return kvCacheBytes(config, { contextLength: positionsOf(test), batch: test.batch, bitsPerValue })
}

/**
 * The widest tensors of one step: three copies of the scores, the MLP's inside twice or what its experts hold, what MLA makes
 * of the latents, logits, and the new K/V twice. Of an export all positions' logits and the whole K/V twice: the runtime's and JavaScript's.
 */
function stepBytes(subject: LoadedSubject, test: BenchmarkTest): number {
  const { config } = subject
  const tokens = Math.min(tokensPerStep, Math.max(1, test.promptTokens, test.depth))
  const positions = positionsOf(test)
  // A layer's scores are of the rows that it keeps, and of the new tokens.
  const columns = config.attention.map(({ window }) => Math.min(positions, (window ?? positions) + tokens))
  const scores = 3 * config.heads * tokens * Math.max(...columns)
  const inside = Math.max(2 * config.intermediateSize, routedWidth(config))
  const activations = tokens * (inside + 6 * config.hiddenSize + latentStepValues(config))
  if (subject.exported) {
    const logits = 2 * tokens * config.vocabularySize
    return test.batch * (scores + activations + logits) * bytesPerValue + 2 * wholeCache(subject, test)
  }
  const rows = 2 * kvBytesPerToken(config, bytesPerValue * 8) * tokens
  return test.batch * ((scores + activations + config.vocabularySize) * bytesPerValue + rows)
}

function diskBytes(subjects: readonly SubjectSpec[], plans: readonly SubjectPlan[]): number {
  const files = new Map<string, number>()
  for (const [index, { source, convert, dtype }] of subjects.entries()) {
    const plan = plans[index]
    if (plan === undefined || plan.exported !== null) continue
    const key = JSON.stringify(source)
    if ('synthetic' in source) files.set(key, parameterCount(plan.original) * bytesPerValue)
    if (convert !== null) files.set(`${key} ${JSON.stringify(convert)}`, changedBytes(plan))
    if (dtype !== null) files.set(`${key} ${JSON.stringify({ convert, dtype })}`, copiedBytes(plan, dtype))
  }
  return [...files.values()].reduce((sum, bytes) => sum + bytes, 0)
}

/** A copy in another dtype holds the tensors that are not of it: pooled heads are float32, the rest as it is stored. */
function copiedBytes(plan: SubjectPlan, dtype: WeightDtype): number {
  const width = dtype === 'F32' ? 4 : 2
  const pooled = changedBytes(plan) / bytesPerValue
  const others = parameterCount(plan.config) - pooled
  return width * ((dtype === 'F32' ? 0 : pooled) + (dtype === plan.stored ? 0 : others))
}

/** A conversion writes only the tensors whose shape it changes; the rest stays in the original's file. */
function changedBytes({ original, config }: SubjectPlan): number {
  const shapes = new Map(expectedTensors(original).map((tensor) => [tensor.name, tensor.shape.join()]))
  return expectedTensors(config)
    .filter((tensor) => shapes.get(tensor.name) !== tensor.shape.join())
    .reduce((sum, tensor) => sum + tensor.shape.reduce((product, size) => product * size, bytesPerValue), 0)
}
