import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { trialCost } from '../src/architecture/step-cost.ts'
import { ensureMemory } from '../src/bench/limits.ts'
import { openSubject } from '../src/bench/open-subject.ts'
import { physicalCores } from '../src/bench/physical-cores.ts'
import { tokensPerStep } from '../src/bench/plan.ts'
import { planSubject } from '../src/bench/subject-config.ts'
import { seededTokens } from '../src/bench/tokens.ts'
import { readConfig } from '../src/config.ts'
import { benchmarkSpec } from '../src/jobs/spec.ts'
import { median } from '../src/stats/quantile.ts'
import { seededRandom, shuffled } from '../src/stats/random.ts'
import { medianOfBlockRatios } from '../src/stats/ratio.ts'
import { openComputeProbe } from './compute-bound.ts'
import {
  bareContestant,
  type Contestant,
  type Generation,
  kvscopeContestant,
  transformersContestant,
} from './contestants.ts'
import { writePeerFolder } from './peer-folder.ts'
import { peerAttentions } from './peer-graph.ts'
import { benchOptions, type Figure, noteLoad, printTable, reportFigures, type Target } from './report.ts'
import { torchAttentions, torchContestants } from './torch-contestant.ts'

// The same weights and tokens through kvscope and transformers.js, interleaved. The peer's graph is written here, so it
// gets the fastest of three; once more with logits of every position, as exported models have it. With
// `-- --with torch [--python PATH]` the same safetensors go through transformers over torch in the same rounds.

const prompts = [9, 128, 512] as const
const generated = 16
const rounds = 9
/** No round begins after this many milliseconds, so that the command ends within its 7 minutes on a slow machine. */
const lastStart = 300_000

const targets: Record<string, Target> = {
  decode_vs_transformersjs_p9: { least: 0.97, most: null },
  decode_vs_transformersjs_p128: { least: 1.15, most: null },
  decode_vs_transformersjs_p512: { least: 1.4, most: null },
  ttft_vs_transformersjs_p512: { least: 1.1, most: null },
  ttft_vs_best_graph_p512: { least: 0.95, most: null },
  tokens_identical: { least: 1, most: 1 },
  ...Object.fromEntries(
    torchAttentions.flatMap((attention) => [
      ...prompts.map((prompt) => [`decode_vs_torch_${attention}_p${prompt}`, { least: 1, most: null }] as const),
      [`ttft_vs_torch_${attention}_p512`, { least: 0.9, most: null }] as const,
    ]),
  ),
}

const options = benchOptions(['with', 'python'])
if (options.with !== undefined && options.with !== 'torch') {
  throw new TypeError(`--with is ${options.with}: torch is the only peer that is not always there`)
}
const report = options.json ?? null
const spec = benchmarkSpec.parse({
  kind: 'BENCHMARK',
  version: 1,
  // Sessions of the same weights: ours, the peer's two, the bare loop's, and torch's copy.
  subjects: new Array(options.with === 'torch' ? 5 : 4).fill({ source: { synthetic: { preset: 'gpt2-medium' } } }),
  tests: [{ promptTokens: 512, generatedTokens: generated }],
})
const { dataDir } = readConfig()
const threads = physicalCores()
ensureMemory(spec, await Promise.all(spec.subjects.map((subject) => planSubject(subject, []))))
console.log(`gpt2-medium, f32, ${threads} threads, greedy; SYNTHETIC WEIGHTS (they are in ${dataDir})`)
noteLoad(threads)

const [subjectSpec] = spec.subjects
if (!subjectSpec) throw new Error('the spec names no subject')
const subject = await openSubject(subjectSpec, { dataDir, modelRoots: [] }, () => {})
const { config } = subject
const tokens = (length: number) => seededTokens(length, config.vocabularySize, 1, length).flat()
const folders = join(dataDir, 'bench-peers')
process.on('exit', () => rmSync(folders, { recursive: true, force: true }))

const best = await chooseGraph()
const exported = join(folders, 'exported')
await writePeerFolder(exported, subject, { attention: best.attention, logits: 'all' })

const names = {
  ours: 'kvscope',
  best: `transformers.js, best graph`,
  exported: 'transformers.js, as exported',
  bare: 'bare loop, best graph',
}
const contestants: Contestant[] = [
  await kvscopeContestant(subject, threads),
  await transformersContestant(names.best, best.folder, threads),
  await transformersContestant(names.exported, exported, threads),
  await bareContestant(names.bare, best.file, subject, threads),
]
const torch = options.with === 'torch' ? await openTorch() : []
contestants.push(...torch)
const compute = await openComputeProbe(subject.checkpoint, threads)
const rates: number[] = []
const seen = new Map<string, Generation[]>()
const random = seededRandom(0)
const series = (name: string, prompt: number) => seen.get(`${name} ${prompt}`) ?? []

for (let round = 0; round <= rounds && performance.now() < lastStart; round += 1) {
  process.stderr.write(round === 0 ? 'warming up\n' : `round ${round} of ${rounds}\n`)
  for (const prompt of prompts) {
    for (const contestant of shuffled(contestants, random)) {
      const generation = await contestant.generate(tokens(prompt), generated)
      if (round > 0) seen.set(`${contestant.name} ${prompt}`, [...series(contestant.name, prompt), generation])
    }
  }
  rates.push(await compute.measure())
}
for (const contestant of contestants) await contestant.close()
await compute.close()

const firsts = (name: string, prompt: number) => series(name, prompt).map((generation) => generation.first)
const decodes = (name: string, prompt: number) => series(name, prompt).map((generation) => generation.perToken)
const bound = Math.max(...rates)
const operations = trialCost(
  config,
  { depth: 0, promptTokens: 512, generatedTokens: 0, batch: 1 },
  { tokensPerStep },
).flops

printTable(
  ['medians, ms', ...prompts.flatMap((prompt) => [`first p${prompt}`, `a token p${prompt}`]), 'of compute bound p512'],
  contestants.map(({ name }) => [
    name,
    ...prompts.flatMap((prompt) => [median(firsts(name, prompt)).toFixed(1), median(decodes(name, prompt)).toFixed(1)]),
    `${((100 * operations) / (median(firsts(name, 512)) / 1000) / bound).toFixed(0)} %`,
  ]),
)
console.log(
  `\nMedians of ${rates.length - 1} rounds; compute bound ${(bound / 1e9).toFixed(0)} GFLOP/s, a large MatMul of the runtime.`,
)

const theirsOverOurs = (name: string, theirs: number[], ours: number[]): Figure & { interval: string } => {
  const { ratio, interval } = medianOfBlockRatios(ours, theirs)
  return {
    name,
    value: ratio,
    unit: '',
    interval: interval ? `${interval.low.toFixed(3)} to ${interval.high.toFixed(3)}` : '',
  }
}
const ratios = [
  ...prompts.map((prompt) =>
    theirsOverOurs(`decode_vs_transformersjs_p${prompt}`, decodes(names.best, prompt), decodes(names.ours, prompt)),
  ),
  theirsOverOurs('ttft_vs_transformersjs_p512', firsts(names.exported, 512), firsts(names.ours, 512)),
  theirsOverOurs('ttft_vs_best_graph_p512', firsts(names.best, 512), firsts(names.ours, 512)),
  ...torch.flatMap(({ name }, index) => [
    ...prompts.map((prompt) =>
      theirsOverOurs(
        `decode_vs_torch_${torchAttentions[index]}_p${prompt}`,
        decodes(name, prompt),
        decodes(names.ours, prompt),
      ),
    ),
    theirsOverOurs(`ttft_vs_torch_${torchAttentions[index]}_p512`, firsts(name, 512), firsts(names.ours, 512)),
  ]),
]
printTable(
  ['their time / ours', 'ratio', '95 % interval'],
  ratios.map(({ name, value, interval }) => [name, value.toFixed(3), interval]),
)
const texts = prompts.map(
  (prompt) =>
    new Set(contestants.flatMap(({ name }) => series(name, prompt).map((generation) => generation.tokens.join()))).size,
)
await reportFigures(
  [
    ...ratios.map(({ name, value, unit }) => ({ name, value, unit })),
    { name: 'tokens_identical', value: texts.every((count) => count === 1) ? 1 : 0, unit: '' },
  ],
  targets,
  report,
)

async function openTorch(): Promise<Contestant[]> {
  const { directory } = subject.checkpoint
  const { versions, contestants } = await torchContestants(options.python ?? 'python3', directory, threads)
  console.log(versions)
  return contestants
}

/**
 * Times each form of the peer's attention by a bare loop, and takes the one that generates 64 tokens after 512 first. One
 * graph serves all prompts, as a user has one; what each form takes a token after the shorter ones is printed beside.
 */
async function chooseGraph() {
  const rows = []
  for (const attention of peerAttentions) {
    const folder = join(folders, attention)
    const file = await writePeerFolder(folder, subject, { attention, logits: 'last' })
    const candidate = await bareContestant(attention, file, subject, threads)
    const times: Generation[] = []
    for (const prompt of prompts) {
      await candidate.generate(tokens(prompt), 2)
      const tries = [await candidate.generate(tokens(prompt), 8), await candidate.generate(tokens(prompt), 8)]
      const least = (of: (one: Generation) => number) => Math.min(...tries.map(of))
      times.push({ tokens: [], first: least(({ first }) => first), perToken: least(({ perToken }) => perToken) })
    }
    await candidate.close()
    const longest = times.at(-1)
    if (longest === undefined) throw new Error('no prompt was timed')
    rows.push({ attention, folder, file, times, after512: longest.first + 64 * longest.perToken })
  }
  const [winner] = [...rows].sort((a, b) => a.after512 - b.after512)
  if (!winner) throw new Error('no candidate was timed')
  printTable(
    ['candidates for the peer', ...prompts.map((prompt) => `a token p${prompt}, ms`), 'first p512, ms', ''],
    rows.map((row) => [
      row.attention,
      ...row.times.map(({ perToken }) => perToken.toFixed(1)),
      row.times.at(-1)?.first.toFixed(1) ?? '',
      row === winner ? 'taken' : '',
    ]),
  )
  return winner
}
