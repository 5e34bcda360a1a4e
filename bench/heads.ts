import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { drawPicture } from '../src/api/files/picture.ts'
import { openSubject } from '../src/bench/open-subject.ts'
import { physicalCores } from '../src/bench/physical-cores.ts'
import { fetchAttentionMapsRun, type LayerMaps } from '../src/cli/attention-run.ts'
import type { ApiClient } from '../src/cli/client.ts'
import { asPng } from '../src/cli/picture-files.ts'
import { requireSuccess } from '../src/cli/run-result.ts'
import { submitAndFollow } from '../src/cli/submit-run.ts'
import { type Config, readConfig } from '../src/config.ts'
import { startPostgres } from '../src/embedded/postgres.ts'
import { type AttentionMapsSpecInput, subjectSpec } from '../src/jobs/spec.ts'
import { captureAttention } from '../src/models/attention-capture.ts'
import { planCapture } from '../src/models/capture-plan.ts'
import { loadModel, type RunnableModel } from '../src/models/runner.ts'
import { decodeTile, storedBytes } from '../src/render/attention-tiles.ts'
import { renderPng } from '../src/render/png.ts'
import { median } from '../src/stats/quantile.ts'
import { peakOfCapture } from './child-memory.ts'
import { type Figure, jsonFile, noteLoad, printTable, reportFigures } from './report.ts'
import { signal, withService } from './service.ts'
import { timeStoring } from './store-speed.ts'

// What it costs to record, store, read and draw where heads look, of gpt2-medium's shape: 24 layers of 16 heads.

const file = jsonFile()

const preset = 'gpt2-medium-4k'
const tokens = 512
const longTokens = 2048
const rounds = 8
const reads = 60
/** No round begins after this many milliseconds, so that the command ends within its 7 minutes on a slow machine. */
const lastRound = 75_000

const targets = {
  capture_overhead_percent: { least: null, most: 12 },
  store_mb_per_s: { least: 60, most: null },
  read_head_ms: { least: null, most: 20 },
  read_tile_ms: { least: null, most: 30 },
  render_grid_ms: { least: null, most: 300 },
  peak_extra_mb_2048: { least: null, most: 1024 },
}

const source = { synthetic: { preset } }
const subject = subjectSpec.parse({ source })
const layers = Array.from({ length: 24 }, (_, layer) => layer)
const tokenIds = (count: number, different = 50_257) =>
  Array.from({ length: count }, (_, place) => (7919 * place + 13) % different)

function mapsOf(count: number, diversity: boolean, different?: number): AttentionMapsSpecInput {
  return {
    kind: 'ATTENTION_MAPS',
    version: 1,
    subjects: [{ source }],
    tokenIds: tokenIds(count, different),
    layers,
    diversity,
    baselines: false,
  }
}

/** Milliseconds of a prefill of `tokens`, but `percent`. */
interface CaptureTimes {
  /** in chunks of so many tokens, as capturing runs it */
  chunk: number
  plain: number
  captured: number
  /** in one step */
  whole: number
  percent: number
}

/** Prefills of the same tokens in the same chunks, by turns without and with every probability handed out, nothing stored. */
async function timeCapture({ dataDir }: Config): Promise<CaptureTimes> {
  const { checkpoint, config } = await openSubject(subject, { dataDir, modelRoots: [] }, () => {})
  const { heads } = config
  const size = { config, layers, heads, storedHeads: heads, tokens, width: 2, generates: false } as const
  const { chunk, passes } = planCapture(size)
  if (passes.length !== 1) throw new Error(`${tokens} tokens take ${passes.length} passes`)
  const common = { provider: 'cpu', threads: physicalCores(), logits: 'last' } as const
  const plain = await loadModel(checkpoint, config, common)
  const capturing = await loadModel(checkpoint, config, {
    ...common,
    attention: { layers, heads: null, type: 'float16' },
  })
  const prompt = tokenIds(tokens)
  const turns = {
    plain: () => prefill(plain, prompt, chunk),
    captured: () => captureAttention(capturing, { prompt, generatedTokens: 0, chunk, layers }, () => {}),
    whole: () => prefill(plain, prompt, tokens),
  }
  const names = ['plain', 'captured', 'whole'] as const
  const samples: Record<(typeof names)[number], number>[] = []
  for (let round = 0; round <= rounds && (round < 3 || performance.now() < lastRound); round += 1) {
    process.stderr.write(round === 0 ? 'warming up\n' : `capture, round ${round} of ${rounds}\n`)
    const sample = { plain: 0, captured: 0, whole: 0 }
    // Who goes first changes from round to round.
    for (let turn = 0; turn < names.length; turn += 1) {
      signal.throwIfAborted()
      const name = names[(round + turn) % names.length] ?? 'plain'
      sample[name] = await time(turns[name])
    }
    if (round > 0) samples.push(sample)
  }
  await plain.close()
  await capturing.close()
  const of = (name: (typeof names)[number]) => median(samples.map((sample) => sample[name]))
  const medians = { plain: of('plain'), captured: of('captured'), whole: of('whole'), chunk }
  return { ...medians, percent: 100 * (medians.captured / medians.plain - 1) }
}

async function prefill(model: RunnableModel, prompt: readonly number[], chunk: number): Promise<void> {
  const cache = model.createCache(1, prompt.length)
  for (let from = 0; from < prompt.length; from += chunk) await model.forward([prompt.slice(from, from + chunk)], cache)
}

async function time(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/**
 * Weights are read from their file when they are first used: pages of the embedding for each token that differs, which are
 * no cost of capturing. 2,048 different ones make 155 MB.
 */
const differentTokens = 16

/** A child over 2,048 tokens beside one over a single token, whose peak is Node and the weights as loaded. */
async function measurePeak(config: Config): Promise<{ extra: number; loaded: number } | null> {
  process.stderr.write('peak memory: one token\n')
  const loaded = await peakOfCapture(mapsOf(1, false, differentTokens), config, signal)
  process.stderr.write(`peak memory: ${longTokens} tokens\n`)
  const long = await peakOfCapture(mapsOf(longTokens, true, differentTokens), config, signal)
  return loaded === null || long === null ? null : { extra: long - loaded, loaded }
}

interface Served {
  head: number
  /** the same, not compressed on the wire */
  plainHead: number
  tile: number
  grid: number
  /** the same picture through the API: reading, drawing in its thread, sending */
  gridThroughApi: number
  store: { bytes: number; milliseconds: number }
}

async function measureService(client: ApiClient, config: Config): Promise<Served> {
  process.stderr.write(`recording ${tokens} tokens through the service\n`)
  const input = { subject: { source }, tokenIds: tokenIds(tokens), layers, diversity: false }
  const id = await submitAndFollow(client, { kind: 'ATTENTION_MAPS', input }, { secret: undefined, signal }, () => {})
  const run = await fetchAttentionMapsRun(client, id)
  requireSuccess(run)
  const { recorded } = run
  process.stderr.write('reading and drawing\n')
  const maps = recorded.flatMap((layer) => layer.maps)
  const everyFew = maps.filter((_, place) => place % Math.floor(maps.length / reads) === 0)
  const heads = await timeFiles(
    client,
    everyFew.map(({ arrayUrl }) => arrayUrl),
  )
  const plainHead = await timeUncompressed(
    client.address,
    everyFew.map(({ arrayUrl }) => arrayUrl),
  )
  const tiles = await timeFiles(
    client,
    everyFew.map(({ tileUrlTemplate }) => tileAt(tileUrlTemplate)),
  )
  const grids = await timeFiles(client, recorded.map(({ gridUrl }) => asPng(gridUrl)).slice(0, 12))
  const grid = await timeDrawing(client, recorded)
  process.stderr.write('storing\n')
  const postgres = await startPostgres(config.dataDir)
  try {
    const store = await timeStoring(mapsOf(tokens, false), config, postgres.url)
    return { head: heads, plainHead, tile: tiles, grid, gridThroughApi: grids, store }
  } finally {
    await postgres.stop()
  }
}

const tileAt = (template: string) => template.replace('{level}', '0').replace('{row}', '1').replace('{column}', '0')

/** The first fetch of each address; none comes twice. */
async function timeFiles(client: ApiClient, addresses: readonly string[]): Promise<number> {
  const times: number[] = []
  for (const address of addresses) times.push(await time(() => client.file(address)))
  // The first starts what there is to start, such as the thread that draws.
  return median(times.slice(1))
}

async function timeUncompressed(server: string, addresses: readonly string[]): Promise<number> {
  const times: number[] = []
  for (const address of addresses) {
    const asked = { headers: { 'accept-encoding': 'identity' }, signal }
    times.push(await time(async () => (await fetch(new URL(address, server), asked)).arrayBuffer()))
  }
  return median(times.slice(1))
}

/** Drawing 16 maps as the API does, 256 x 256 cells each, from numbers to PNG. */
async function timeDrawing(client: ApiClient, recorded: readonly LayerMaps[]): Promise<number> {
  const [layer] = recorded
  if (layer === undefined) throw new Error('nothing was recorded')
  const side = tokens / 2
  const heads = []
  for (const { head, kvHead, tileUrlTemplate } of layer.maps) {
    const bytes = await client.file(
      tileUrlTemplate.replace('{level}', '1').replace('{row}', '0').replace('{column}', '0'),
    )
    const values = decodeTile(bytes, 'F16')
    heads.push({ head, kvHead, rows: side, columns: side, values })
  }
  const picture = {
    subject: { model: preset, kind: 'MHA', heads: 16, kvHeads: 16, synthetic: true },
    layer: layer.layer,
    heads,
    quantity: { name: 'attention', pooled: { factor: 2, by: 'maximum' } },
  } as const
  const times: number[] = []
  for (let round = 0; round <= 12; round += 1) {
    times.push(await time(() => renderPng(drawPicture({ of: 'heads', picture }))))
  }
  return median(times.slice(1))
}

const config = readConfig()
const weights = join(config.dataDir, 'weights')
if (!existsSync(weights)) mkdirSync(weights, { recursive: true })
const threads = physicalCores()
console.log(
  `${preset}, f32, ${threads} threads, ${layers.length} layers x 16 heads; SYNTHETIC WEIGHTS (they are in ${weights})`,
)
noteLoad(threads)

const capture = await timeCapture(config)
const peak = await measurePeak(config)
const served = await withService({ weights }, measureService)
noteLoad(threads)

const milliseconds = (value: number) => `${value.toFixed(1)} ms`
printTable(
  ['what', 'value'],
  [
    [`prefill of ${tokens} tokens in one step`, milliseconds(capture.whole)],
    [`in steps of ${capture.chunk}`, milliseconds(capture.plain)],
    ['the same, all probabilities handed out', milliseconds(capture.captured)],
    [`raw bytes of ${tokens} tokens' maps, ${layers.length} x 16 heads`, `${(served.store.bytes / 1e6).toFixed(0)} MB`],
    ['stored in', milliseconds(served.store.milliseconds)],
    [`one head's map of ${tokens} tokens, not compressed on the wire`, milliseconds(served.plainHead)],
    ['a grid of 16 maps through the API', milliseconds(served.gridThroughApi)],
    ...(peak === null
      ? []
      : [['child with the weights loaded, VmHWM over one token', `${(peak.loaded / 1e6).toFixed(0)} MB`]]),
    [
      `raw bytes of ${longTokens} tokens' maps`,
      `${((layers.length * 16 * storedBytes(longTokens)) / 1e6).toFixed(0)} MB`,
    ],
  ],
)
const ms = (name: string, value: number): Figure => ({ name, value, unit: 'ms' })
await reportFigures(
  [
    { name: 'capture_overhead_percent', value: capture.percent, unit: '%' },
    { name: 'store_mb_per_s', value: served.store.bytes / 1e6 / (served.store.milliseconds / 1000), unit: 'MB/s' },
    ms('read_head_ms', served.head),
    ms('read_tile_ms', served.tile),
    ms('render_grid_ms', served.grid),
    ...(peak === null ? [] : [{ name: 'peak_extra_mb_2048', value: peak.extra / 1e6, unit: 'MB' }]),
  ],
  targets,
  file,
)
if (peak === null) console.log('The peak of a child is read on Linux only: it is left out.')
