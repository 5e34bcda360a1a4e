import { physicalCores } from '../src/bench/physical-cores.ts'
import { watchPrecision } from '../src/bench/precision.ts'
import type { ComparableSeries } from '../src/stats/comparable-series.ts'
import { type ComparisonRow, compareSeries, compareSubjects, pValueOf } from '../src/stats/compare-series.ts'
import { median } from '../src/stats/quantile.ts'
import { type Random, randomIndex, seededRandom } from '../src/stats/random.ts'
import { readRecording, recordInOwnProcess, type Session } from './recorded-series.ts'
import { jsonFile, noteLoad, printTable, reportFigures } from './report.ts'

// How often kvscope's verdicts are wrong, and what they can see: subjects that are the same model, and the same made 3 %
// and 10 % slower, over series of real trials. A play takes neighbouring blocks from a random place of a session, so
// that drifts and bad minutes stay in it, and asks the very function that answers `comparison` and `compareRuns`.

const plays = 400
/** Of them played over series that were measured just now. */
const freshPlays = 100
const freshBlocks = 150
const effects = { alike: 1, three: 1.03, ten: 1.1 } as const

/** How many blocks a play takes: so many, or from so many on until the ratio is known to that half-width, as a share. */
interface Length {
  name: string
  fewest: number
  most: number
  precision: number | null
}
const fixed = (blocks: number): Length => ({ name: `${blocks} blocks`, fewest: blocks, most: blocks, precision: null })
/** Enough to see 10 %: the least detectable difference is about 1.6 half-widths. A recorded session ends before `most`. */
const untilKnown: Length = { name: 'until ±5 %', fewest: 10, most: freshBlocks, precision: 0.05 }
const defaultBlocks = fixed(10)

const report = jsonFile()
noteLoad(physicalCores())

interface Source {
  name: string
  sessions: Session[]
}

const recording = await readRecording('two-cores.json')
console.log(
  `${recording.sessions.length} sessions of ${recording.cpu}, ${recording.cores} cores, recorded ${recording.recordedAt.slice(0, 10)}`,
)
process.stderr.write('measuring anew\n')
const fresh = await recordInOwnProcess('tiny', { blocks: freshBlocks, seed: Date.now() % 100_000, reload: true })

/** What was said of one pair, for each effect. */
interface Play {
  what: string
  rows: Record<keyof typeof effects, ComparisonRow<ComparableSeries>>
}

const recordedSource = (reload: boolean): Source => ({
  name: 'recorded',
  sessions: recording.sessions.filter((session) => session.reload === reload),
})
/** Of blocks that load anew, 300 recorded and 100 fresh. */
const playAnew = (length: Length) => [
  ...playAll(recordedSource(true), plays - freshPlays, length, playWithin),
  ...playAll({ name: 'fresh', sessions: fresh }, freshPlays, length, playWithin),
]

const anew = playAnew(untilKnown)
const anewTen = playAnew(defaultBlocks)
const once = playAll(recordedSource(false), plays, untilKnown, playWithin)
const twoRuns = playAll(recordedSource(true), plays, defaultBlocks, playAcross)

printPlays(`each block loads anew, ${untilKnown.name}`, [...groupsOf(anew), ['all', anew]])
printPlays(
  'each block loads anew, all',
  [5, 10, 20, 50].map((blocks) => [`${blocks} blocks`, playAnew(fixed(blocks))]),
)
printPlays(`loaded once, ${untilKnown.name}`, [...groupsOf(once), ['all', once]])
printPlays(`two runs, ${defaultBlocks.name} each`, [...groupsOf(twoRuns), ['all', twoRuns]])

const seen = (effect: keyof typeof effects) => (play: Play) => play.rows[effect].verdict === 'SLOWER'
const figure = (name: string, group: readonly Play[], says: (play: Play) => boolean) => ({
  name,
  value: percent(group, says),
  unit: '%',
})
await reportFigures(
  [
    figure('false_alarm_percent', anew, isAlarm),
    figure('power_10_percent', anew, seen('ten')),
    figure('power_3_percent', anew, seen('three')),
    figure('recorded_power_10_percent', anew.filter(isRecorded), seen('ten')),
    figure('no_difference_percent', anew, isNoDifference),
    figure('ten_blocks_false_alarm_percent', anewTen, isAlarm),
    figure('ten_blocks_power_10_percent', anewTen, seen('ten')),
    figure('loaded_once_false_alarm_percent', once, isAlarm),
    figure('two_runs_false_alarm_percent', twoRuns, isAlarm),
  ],
  { false_alarm_percent: { least: null, most: 7.5 }, power_10_percent: { least: 90, most: null } },
  report,
)

type PlayOne = (
  session: Session,
  sessions: readonly Session[],
  length: Length,
  random: Random,
) => [baseline: number[], candidate: number[]]

function playAll({ name, sessions }: Source, times: number, length: Length, play: PlayOne): Play[] {
  const random = seededRandom(times)
  const playable = play === playWithin ? sessions : sessions.filter((one) => othersLike(one, sessions).length > 0)
  return Array.from({ length: times }, () => {
    const session = playable[randomIndex(random, playable.length)]
    if (session === undefined) throw new Error(`${name} has no session to play over`)
    const [baseline, candidate] = play(session, sessions, length, random)
    const runId = play === playWithin ? 'one' : 'another'
    const say = (factor: number) =>
      compare(
        series('one', 'baseline', baseline),
        series(
          runId,
          'candidate',
          candidate.map((time) => time * factor),
        ),
      )
    const rows = { alike: say(effects.alike), three: say(effects.three), ten: say(effects.ten) }
    return { what: `${name} ${session.model} ${session.test}`, rows }
  })
}

/** Two subjects of one run, over the same blocks; where the session ends it goes on at its beginning. */
function playWithin(
  session: Session,
  _sessions: readonly Session[],
  { fewest, most, precision }: Length,
  random: Random,
): [number[], number[]] {
  const start = randomIndex(random, session.baseline.length)
  const watch = precision === null ? null : watchPrecision(precision)
  const longest = Math.min(most, session.baseline.length)
  let blocks = fewest
  const sides = () => [session.baseline, session.candidate].map((side) => takeFrom(side, start, blocks))
  while (blocks < longest && watch?.reached(sides()) === false) blocks += 1
  return [takeFrom(session.baseline, start, blocks), takeFrom(session.candidate, start, blocks)]
}

/** The same model and test in two runs: two processes, two times of the day. */
function playAcross(
  session: Session,
  sessions: readonly Session[],
  { fewest }: Length,
  random: Random,
): [number[], number[]] {
  const others = othersLike(session, sessions)
  const other = others[randomIndex(random, others.length)]
  if (other === undefined) throw new Error(`there is one session of ${session.model} ${session.test}`)
  const cut = (side: readonly number[]) => takeFrom(side, randomIndex(random, side.length), fewest)
  return [cut(session.baseline), cut(other.candidate)]
}

function takeFrom(side: readonly number[], start: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => side[(start + index) % side.length] ?? Number.NaN)
}

function printPlays(title: string, groups: readonly (readonly [string, readonly Play[]])[]): void {
  const titles = [title, 'pairs', 'blocks', 'false alarms', 'p <= 0.05', 'no difference', '+3 % seen', '+10 % seen']
  printTable(
    titles,
    groups.map(([name, group]) => line(name, group)),
  )
}

function othersLike({ model, test, reload, ...own }: Session, sessions: readonly Session[]): Session[] {
  return sessions.filter(
    (one) => one.baseline !== own.baseline && one.model === model && one.test === test && one.reload === reload,
  )
}

function compare(baseline: ComparableSeries, candidate: ComparableSeries): ComparisonRow<ComparableSeries> {
  const rows =
    baseline.runId === candidate.runId
      ? compareSubjects([baseline, candidate], baseline.subjectName)
      : compareSeries([baseline], [{ ...candidate, subjectName: baseline.subjectName }])
  const [row] = rows
  if (row === undefined) throw new Error('a comparison of two series has a row')
  return row
}

function series(runId: string, subjectName: string, samples: number[]): ComparableSeries {
  return {
    runId,
    subjectName,
    fingerprint: 'the same',
    dtype: 'F32',
    computeDtype: 'F32',
    device: 'CPU',
    runtime: 'KVSCOPE',
    threads: 2,
    hostname: 'here',
    cpu: 'one',
    cores: 2,
    timingVersion: 1,
    onnxruntime: '1',
    phase: 'DECODE',
    test: 'tg',
    promptTokens: 0,
    generatedTokens: 1,
    batch: 1,
    samples,
    kvCacheBytes: null,
    peakMemoryBytes: null,
  }
}

function groupsOf(all: readonly Play[]): [string, Play[]][] {
  const groups = new Map<string, Play[]>()
  for (const play of all) {
    groups.set(play.what, [...(groups.get(play.what) ?? []), play])
  }
  return [...groups].sort(([a], [b]) => a.localeCompare(b))
}

function line(name: string, group: readonly Play[]): string[] {
  const shares = [
    isAlarm,
    ({ rows }: Play) => (pValueOf(rows.alike) ?? 1) <= 0.05,
    isNoDifference,
    ({ rows }: Play) => rows.three.verdict === 'SLOWER',
    ({ rows }: Play) => rows.ten.verdict === 'SLOWER',
  ].map((says) => `${percent(group, says).toFixed(1)} %`)
  const blocks = median(group.map(({ rows }) => rows.alike.baseline?.samples.length ?? 0))
  return [name, String(group.length), String(blocks), ...shares]
}

function percent(group: readonly Play[], says: (play: Play) => boolean): number {
  return (100 * group.filter(says).length) / group.length
}

function isAlarm({ rows: { alike } }: Play): boolean {
  return alike.verdict === 'FASTER' || alike.verdict === 'SLOWER'
}

function isRecorded({ what }: Play): boolean {
  return what.startsWith('recorded')
}

function isNoDifference({ rows: { alike } }: Play): boolean {
  return alike.verdict === 'NO_DIFFERENCE'
}
