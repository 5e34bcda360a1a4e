import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { z } from 'zod'
import { openSubject } from '../src/bench/open-subject.ts'
import { physicalCores } from '../src/bench/physical-cores.ts'
import { readConfig } from '../src/config.ts'
import { benchmarkSpec } from '../src/jobs/spec.ts'
import { compiledFile } from '../src/package-folder.ts'
import { median } from '../src/stats/quantile.ts'
import { seededRandom, shuffled } from '../src/stats/random.ts'
import { jsonFile, noteLoad, printTable, reportFigures } from './report.ts'

// From a checkpoint on disk to the first token, with the file's pages in the system's cache: weights packed into memory of
// the runtime's, as kvscope loads them, or mapped and read in place; in 32 and in 16 bits. Each load in a process of its own.

const rounds = 7
const prompts = [9, 512] as const
const dtypes = [null, 'F16'] as const

const report = jsonFile()
const spec = benchmarkSpec.parse({
  kind: 'BENCHMARK',
  version: 1,
  subjects: dtypes.map((dtype) => ({ source: { synthetic: { preset: 'gpt2-medium' } }, dtype })),
})
const { dataDir } = readConfig()
const threads = physicalCores()
console.log(`gpt2-medium, ${threads} threads; SYNTHETIC WEIGHTS (they are in ${dataDir})`)
noteLoad(threads)

const loaded = z.object({ load: z.number(), firstToken: z.number(), perToken: z.number(), peakBytes: z.number() })
type Loaded = z.infer<typeof loaded>
interface Way {
  dtype: string
  mapped: boolean
  prompt: number
  folder: string
  fileBytes: number
  seen: Loaded[]
}
const ways: Way[] = []
for (const subject of spec.subjects) {
  const { checkpoint } = await openSubject(subject, { dataDir, modelRoots: [] }, () => {})
  let fileBytes = 0
  for (const { length } of checkpoint.tensors.values()) fileBytes += length
  for (const mapped of [false, true]) {
    for (const prompt of prompts) {
      ways.push({ dtype: subject.dtype ?? 'F32', mapped, prompt, folder: checkpoint.directory, fileBytes, seen: [] })
    }
  }
}

const random = seededRandom(0)
for (let round = 0; round <= rounds; round += 1) {
  process.stderr.write(round === 0 ? 'warming up\n' : `round ${round} of ${rounds}\n`)
  for (const way of shuffled(ways, random)) {
    const measured = await loadOnce(way)
    if (round > 0) way.seen.push(measured)
  }
}

const of = (way: Way, what: keyof Loaded) => median(way.seen.map((one) => one[what]))
printTable(
  [`medians of ${rounds} loads`, 'load', 'first token', 'a token after', 'peak', 'peak / file'],
  ways.map((way) => [
    `${way.dtype} ${way.mapped ? 'mapped' : 'packed'}, prompt ${way.prompt}`,
    `${of(way, 'load').toFixed(0)} ms`,
    `${of(way, 'firstToken').toFixed(0)} ms`,
    `${of(way, 'perToken').toFixed(1)} ms`,
    `${(of(way, 'peakBytes') / 1e9).toFixed(2)} GB`,
    (of(way, 'peakBytes') / way.fileBytes).toFixed(2),
  ]),
)
const [asLoaded] = ways
if (asLoaded === undefined) throw new Error('nothing was loaded')
await reportFigures(
  [
    { name: 'load_to_first_token_ms', value: of(asLoaded, 'firstToken'), unit: 'ms' },
    { name: 'load_peak_share_of_file', value: of(asLoaded, 'peakBytes') / asLoaded.fileBytes, unit: '' },
  ],
  { load_to_first_token_ms: { least: null, most: 2000 }, load_peak_share_of_file: { least: null, most: 1.3 } },
  report,
)

async function loadOnce({ folder, prompt, mapped }: Way): Promise<Loaded> {
  const options = ['--folder', folder, '--prompt', String(prompt), '--threads', String(threads)]
  const { stdout } = await promisify(execFile)(process.execPath, [
    compiledFile('bench/load-once.ts'),
    ...options,
    ...(mapped ? ['--mapped'] : []),
  ])
  return loaded.parse(JSON.parse(stdout))
}
