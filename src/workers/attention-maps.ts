import { type EnvironmentAtStart, finishEnvironment, readEnvironment } from '../bench/environment.ts'
import { loadedBytes } from '../bench/estimate.ts'
import { followWriting } from '../bench/follow-writing.ts'
import { providerOf } from '../bench/load-model.ts'
import { availableMemory } from '../bench/memory.ts'
import { describeOpened, openSubject, type SubjectCheckpoint, type SubjectPlaces } from '../bench/open-subject.ts'
import { type Progress, progressOf, type Report } from '../bench/progress.ts'
import { storedDtype } from '../bench/stored-dtype.ts'
import { AppError } from '../errors.ts'
import { checkStoredBytes, planMaps } from '../jobs/check-attention-maps.ts'
import type { AttentionMapsSpec, SubjectSpec } from '../jobs/spec.ts'
import { planCapture } from '../models/capture-plan.ts'
import type { ExecutionProvider } from '../onnx/session.ts'
import { storedAs } from '../render/attention-tiles.ts'
import { type EncodedPrompts, encodePrompts } from './attention-prompts.ts'
import { warningsOf } from './attention-warnings.ts'
import { type CaptureHeads, planHeads } from './capture-heads.ts'
import { ensureCaptureFits } from './capture-memory.ts'
import { type CapturePasses, runPasses } from './capture-passes.ts'
import { type ComparedMaps, compareMaps, diversityBytes } from './map-diversity.ts'
import { openMapStore } from './map-store.ts'
import type { ChildSink, Outcome } from './messages.ts'
import { measureRandomBaseline } from './random-baseline.ts'
import { batchTiles } from './row-batches.ts'

/**
 * The job kind ATTENTION_MAPS, in the child: encodes the prompts, runs each with its attention captured, sends the maps
 * as tiles while they come, and compares the heads.
 * @throws AppError CONTEXT_EXCEEDED, LIMIT_EXCEEDED or OUT_OF_MEMORY before a weight is loaded; those of opening and
 * running a model
 */
export async function captureMaps(
  spec: AttentionMapsSpec,
  places: SubjectPlaces & { maxResultBytes: number },
  sink: ChildSink,
): Promise<Outcome> {
  const environment = readEnvironment()
  const progress = progressOf(sink)
  const job = await prepare(spec, places, environment, progress.share(0, 0.15))
  await sink.subjects([describeOpened(0, job.passes)])

  const baseline = spec.diversity && spec.baselines
  const accumulator = job.compared === null ? null : compareMaps(job.compared)
  const sequences = await runAndStore(job, accumulator, sink, progress.share(0.15, baseline ? 0.7 : 0.95))
  const warnings = [...job.warnings]
  if (accumulator !== null && job.compared !== null) {
    const random = baseline ? await randomBaseline(job, job.compared, sequences, places, progress) : null
    if (random !== null && random.warning !== null) warnings.push(random.warning)
    const rows = accumulator.finish().map((values) => ({
      layer: values.layer,
      values: { ...values, randomWeightsBaseline: random?.all.get(values.layer) ?? null },
    }))
    await sink.heads({ of: 'headDiversity', rows })
  }
  await progress.finish('done')
  return { environment: finishEnvironment(environment), warnings, keyFigure: null }
}

interface Job {
  subject: SubjectSpec
  encoded: EncodedPrompts
  /** tokens of each prompt's maps */
  sizes: number[]
  heads: CaptureHeads
  passes: CapturePasses
  /** null where heads are not compared */
  compared: ComparedMaps | null
  warnings: Outcome['warnings']
}

/** Everything up to the first weight: nothing that is refused afterwards could have been known before. */
async function prepare(
  spec: AttentionMapsSpec,
  places: SubjectPlaces & { maxResultBytes: number },
  environment: EnvironmentAtStart,
  report: Report,
): Promise<Job> {
  const [subject] = spec.subjects
  if (subject === undefined) throw new AppError('VALIDATION_FAILED', 'the spec has no subject')
  const opened = await open(subject, places, report)
  const { checkpoint, config } = opened
  const name = subject.name ?? config.name
  const maps = planMaps(spec, name, config)
  const encoded = await encodePrompts(spec, name, opened)
  const lengths = encoded.prompts.map(({ tokens }) => tokens.length)
  const sizes = lengths.map((length) => length + spec.generatedTokens)
  checkStoredBytes(maps, sizes, name, places.maxResultBytes)

  const heads = planHeads(maps.heads, spec.diversity, maps.layers[0] ?? 0, config)
  const provider = providerOf[subject.device]
  const type = captureType(sizes, provider)
  const plan = planCapture({
    config,
    layers: maps.layers,
    heads: heads.count,
    storedHeads: heads.stored.length,
    tokens: Math.max(...sizes),
    width: type === 'float16' ? 2 : 4,
    generates: spec.generatedTokens > 0,
    held: diversityBytes(spec, maps.layers.length, heads.count, lengths),
  })
  const weights = loadedBytes({ config, dtype: storedDtype(checkpoint, config) })
  ensureCaptureFits(name, weights, plan, Math.max(...sizes), availableMemory())
  return {
    subject,
    encoded,
    sizes,
    heads,
    passes: {
      ...opened,
      ...{ name, provider, plan, type, heads: heads.captured, generatedTokens: spec.generatedTokens },
      threads: subject.threads ?? environment.cores,
      prompts: encoded.prompts.map(({ tokens }) => tokens),
    },
    compared: spec.diversity
      ? {
          config,
          layers: maps.layers,
          heads: heads.compared,
          prompts: encoded.prompts.map(({ key, tokens }) => ({ key, tokens: tokens.length })),
          baselines: spec.baselines,
        }
      : null,
    warnings: warningsOf(spec, { name, synthetic: checkpoint.synthetic, heads: config.heads, lengths }),
  }
}

async function open(subject: SubjectSpec, places: SubjectPlaces, report: Report): Promise<SubjectCheckpoint> {
  const title = subject.name ?? 'the model'
  await report(0, `${title}: opening the checkpoint`)
  const writing = followWriting((fraction) =>
    report(fraction, `${title}: writing weights, ${Math.floor(fraction * 100)} %`),
  )
  const opened = await openSubject(subject, places, writing.onProgress)
  await writing.told()
  return opened
}

/** The graph rounds where every map is stored rounded, and the provider's kernels for that are known to be right. */
function captureType(sizes: readonly number[], provider: ExecutionProvider): 'float32' | 'float16' {
  return provider === 'cpu' && sizes.every((size) => storedAs(size) === 'F16') ? 'float16' : 'float32'
}

/** Runs the prompts, sends their tokens, tiles and maps, and lets the accumulator see all rows. */
async function runAndStore(
  { encoded, sizes, heads, passes }: Job,
  accumulator: ReturnType<typeof compareMaps>,
  sink: ChildSink,
  report: Report,
): Promise<number[][]> {
  const tiles = batchTiles(sink)
  const told = new Set<number>()
  const tell = async (prompt: number, tokens: readonly number[]) => {
    if (told.has(prompt)) return
    told.add(prompt)
    const { text = '', tokens: { length = 0 } = [] } = encoded.prompts[prompt] ?? {}
    const texts = encoded.texts(tokens)
    const row = tokens.map((id, position) => ({ id, text: texts[position] ?? '', generated: position >= length }))
    await sink.heads({ of: 'attentionPrompts', rows: [{ prompt, text, tokens: row }] })
  }
  // What is generated is known at the end only; else a reader sees the prompts first.
  if (passes.generatedTokens === 0) {
    for (const [prompt, { tokens }] of encoded.prompts.entries()) await tell(prompt, tokens)
  }

  let store: { prompt: number; maps: ReturnType<typeof openMapStore> } | null = null
  return runPasses(
    passes,
    {
      async rows(prompt, layer, rows, tokens) {
        if (store?.prompt !== prompt) {
          store = { prompt, maps: openMapStore({ heads: heads.stored, prompt, size: sizes[prompt] ?? 0 }, tiles) }
        }
        accumulator?.addRows(layer, prompt, rows, tokens)
        await store.maps.addRows(layer, rows)
      },
      async endPrompt(prompt, tokens) {
        await tiles.finish()
        await tell(prompt, tokens)
        await sink.heads({ of: 'attentionHeads', rows: store?.maps.finished ?? [] })
        store = null
      },
    },
    report,
  )
}

/** Of a synthetic subject the same thing with the next seed. */
function randomBaseline(
  { subject, passes }: Job,
  compared: ComparedMaps,
  sequences: readonly number[][],
  { dataDir }: SubjectPlaces,
  progress: Progress,
): ReturnType<typeof measureRandomBaseline> {
  const seed = 'synthetic' in subject.source ? (subject.source.synthetic.seed + 1) % 2 ** 32 : 1
  const again = { ...passes, prompts: sequences, generatedTokens: 0 }
  return measureRandomBaseline(again, compared, { seed, dataDir, report: progress.share(0.7, 0.98) })
}
