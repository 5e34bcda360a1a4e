import { trialCost } from '../src/architecture/step-cost.ts'
import { openBandwidthProbe } from '../src/bench/bandwidth.ts'
import { now } from '../src/bench/clock.ts'
import { ensureMemory } from '../src/bench/limits.ts'
import { openPlainProduct } from '../src/bench/matrix-products.ts'
import { openSubject } from '../src/bench/open-subject.ts'
import { physicalCores } from '../src/bench/physical-cores.ts'
import { planTests, tokensPerStep } from '../src/bench/plan.ts'
import { planSubject } from '../src/bench/subject-config.ts'
import { testTrial } from '../src/bench/trial.ts'
import { readConfig } from '../src/config.ts'
import { benchmarkSpec } from '../src/jobs/spec.ts'
import { loadModel } from '../src/models/runner.ts'
import { median } from '../src/stats/quantile.ts'
import { openComputeProbe } from './compute-bound.ts'
import { matricesOf, openWeightProducts } from './products.ts'
import { jsonFile, noteLoad, printTable, reportFigures } from './report.ts'

// How near decode comes to reading its bytes as fast as memory gives them, weights alone and with 2,048 cached tokens of
// MHA and MQA, and prefill to the runtime's fastest product. Probes and models take turns, so that a busy minute slows all.

const generated = 8
const depth = 9
const deep = 2048
const rounds = 10
/** No round begins after this many milliseconds, so that the command ends within its 7 minutes on a slow machine. */
const lastStart = 330_000
const probeBytes = 1 << 30
const mostShare = 1.03

const report = jsonFile()
const long = { source: { synthetic: { preset: 'gpt2-medium-4k' } } }
const spec = benchmarkSpec.parse({
  kind: 'BENCHMARK',
  version: 1,
  subjects: [
    { source: { synthetic: { preset: 'gpt2-medium' } } },
    { ...long, name: 'MHA' },
    { ...long, name: 'MQA', convert: { kvHeads: 1 } },
  ],
  tests: [{ generatedTokens: generated, depth }, { promptTokens: 512 }, { generatedTokens: generated, depth: deep }],
})
const { dataDir } = readConfig()
const threads = physicalCores()
// One copy of the weights more: those of the probe that multiplies by them alone.
const held = [...spec.subjects, ...spec.subjects.slice(0, 1)]
const plans = await Promise.all(held.map((subject) => planSubject(subject, [])))
const ofLength = (tests: typeof spec.tests) => ({ ...spec, tests })
ensureMemory(ofLength(spec.tests.slice(2)), plans)
console.log(`gpt2-medium, f32, ${threads} threads; SYNTHETIC WEIGHTS (they are in ${dataDir})`)
noteLoad(threads)

const [subject, ...longSubjects] = spec.subjects
const [decodeTest, prefillTest, deepTest] = planTests(spec, null)
if (!subject || !decodeTest || !prefillTest || !deepTest) throw new Error('the spec names a subject and three tests')
const { checkpoint, config } = await openSubject(subject, { dataDir, modelRoots: [] }, () => {})
const model = await loadModel(checkpoint, config, { provider: 'cpu', threads })
const decode = testTrial(model, decodeTest, spec.seed, null)
const prefill = testTrial(model, prefillTest, spec.seed, null)
await decode.fill()
const deepDecodes = await Promise.all(longSubjects.map((each) => openDeep(each, deepTest)))
for (const { trial, name } of deepDecodes) {
  process.stderr.write(`${name}: filling a cache of ${deep} tokens\n`)
  await trial.fill()
}

const wasm = await openBandwidthProbe({ bytes: probeBytes, threads: [1, 2], streams: [1, 2, 4, 8] })
const vectorTimesGibibyte = { rows: 1, inner: 4096, columns: 65_536 }
const products = [
  { name: 'MatMul, 1 GiB in place, 1 thread', probe: await openPlainProduct(vectorTimesGibibyte, 1) },
  { name: 'MatMul, 1 GiB in place, 2 threads', probe: await openPlainProduct(vectorTimesGibibyte, 2) },
  { name: "MatMul, the model's own weights", probe: await openWeightProducts(matricesOf(checkpoint), 1, threads) },
]
const compute = await openComputeProbe(checkpoint, threads)

const bytesPerToken = trialCost(config, decodeTest, { tokensPerStep }).bytesRead / generated
const operations = trialCost(config, prefillTest, { tokensPerStep }).flops

interface Round {
  decode: number
  prefill: number
  /** of MHA and MQA, milliseconds a token */
  deep: number[]
  compute: number
  reads: { name: string; rate: number }[]
}
const seen: Round[] = []
for (let round = 0; round <= rounds && performance.now() < lastStart; round += 1) {
  process.stderr.write(round === 0 ? 'warming up\n' : `round ${round} of ${rounds}\n`)
  const reads = await measureReads()
  const measured: Round = {
    reads,
    decode: (await timeTrial(decode)) / generated,
    deep: await inTurn(
      deepDecodes.map(
        ({ trial }) =>
          async () =>
            (await timeTrial(trial)) / generated,
      ),
    ),
    compute: await compute.measure(),
    prefill: await timeTrial(prefill),
  }
  if (round > 0) seen.push(measured)
}
for (const { probe } of products) await probe.close()
await compute.close()
await wasm.close()
await model.close()
for (const each of deepDecodes) await each.model.close()

const fastest = ({ reads }: Round) => Math.max(...reads.map((read) => read.rate))
const share = median(seen.map((round) => bytesPerToken / fastest(round) / (round.decode / 1000)))
const deepShares = deepDecodes.map(({ name, bytes }, index) => ({
  name: `decode_depth${deep}_share_of_bound_${name.toLowerCase()}`,
  value: median(seen.map((round) => bytes / fastest(round) / ((round.deep[index] ?? Number.NaN) / 1000))),
  unit: '',
}))
const computeShare = median(seen.map((round) => operations / round.compute / (round.prefill / 1000)))

const probes = seen[0]?.reads.map((read) => read.name) ?? []
const gigabytes = (rate: number) => `${(rate / 1e9).toFixed(1)} GB/s`
printTable(
  [`medians of ${seen.length} rounds`, 'value'],
  [
    ...probes.map((name, index) => [name, gigabytes(median(seen.map((round) => round.reads[index]?.rate ?? 0)))]),
    ['fastest probe of each round', gigabytes(median(seen.map(fastest)))],
    [
      `decode at depth ${depth}, ${(bytesPerToken / 1e9).toFixed(3)} GB a token`,
      `${median(seen.map((round) => round.decode)).toFixed(2)} ms`,
    ],
    ...deepDecodes.map(({ name, bytes }, index) => [
      `${name} at depth ${deep}, ${(bytes / 1e9).toFixed(3)} GB a token`,
      `${median(seen.map((round) => round.deep[index] ?? Number.NaN)).toFixed(2)} ms`,
    ]),
    ['large MatMul', `${(median(seen.map((round) => round.compute)) / 1e9).toFixed(0)} GFLOP/s`],
    [
      `prefill 512, ${(operations / 1e9).toFixed(0)} GFLOP`,
      `${median(seen.map((round) => round.prefill)).toFixed(0)} ms`,
    ],
  ],
)
await reportFigures(
  [
    { name: 'decode_share_of_bound', value: share, unit: '' },
    ...deepShares,
    { name: 'prefill512_share_of_compute_bound', value: computeShare, unit: '' },
  ],
  { decode_share_of_bound: { least: 0.85, most: mostShare } },
  report,
)
if (share > mostShare) {
  console.error(
    `\ndecode reads ${share.toFixed(3)} of what the fastest probe reads: the probe is wrong, or the machine was busy.`,
  )
  process.exitCode = 1
}

/** Decode at the great depth of one subject, and the bytes that each token of it reads, K/V included. */
async function openDeep(each: (typeof spec.subjects)[number], test: typeof decodeTest & object) {
  const opened = await openSubject(each, { dataDir, modelRoots: [] }, () => {})
  const loaded = await loadModel(opened.checkpoint, opened.config, { provider: 'cpu', threads })
  return {
    name: each.name ?? '',
    model: loaded,
    trial: testTrial(loaded, test, spec.seed, null),
    bytes: trialCost(opened.config, test, { tokensPerStep }).bytesRead / generated,
  }
}

async function inTurn(times: readonly (() => Promise<number>)[]): Promise<number[]> {
  const measured: number[] = []
  for (const time of times) measured.push(await time())
  return measured
}

async function measureReads(): Promise<Round['reads']> {
  const reads = [{ name: 'WASM, 128-bit loads', rate: (await wasm.measure()).bytesPerSecond }]
  for (const { name, probe } of products) {
    const seconds = Math.min(await probe.run(), await probe.run(), await probe.run())
    reads.push({ name, rate: probe.bytes / seconds })
  }
  return reads
}

async function timeTrial(trial: typeof decode): Promise<number> {
  trial.prepare()
  const start = now()
  await trial.run()
  return now() - start
}
