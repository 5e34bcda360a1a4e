import { formatDecimalBytes, formatPercent, formatRatio } from '../render/units.ts'
import type { BenchmarkRun, Series, SeriesComparison, Subject } from './benchmark-run.ts'
import { subjectLabels } from './run-labels.ts'

const bytesPerWeight = { F32: 4, F16: 2, BF16: 2, Q8: 1, Q4: 0.5 } as const

/**
 * What a run shows and what it does not, in two to four sentences computed from its figures: a difference is told only
 * where its whole interval lies on one side of 1, and a cause only where the run separates it from others.
 */
export function conclude(run: BenchmarkRun): string[] {
  const [first, ...others] = run.subjects
  if (first === undefined) return []
  const labels = subjectLabels(run.subjects)
  const baseline = labels[0] ?? first.name
  const decodes = decodesOf(run, first)
  const shallow = decodes.at(0)
  const deep = decodes.at(-1)
  if (shallow === undefined || deep === undefined) return []
  if (others.length === 0) return [cacheShare(baseline, deep), missing(run)]
  if (!differInKvHeadsOnly(run.subjects)) return [differentModels(run, labels), missing(run)]

  // The subject with the smallest cache is told about: what sharing does shows most there.
  const extreme = others.toSorted((a, b) => a.model.kvBytesPerToken - b.model.kvBytesPerToken)[0] ?? first
  const label = labels[extreme.index] ?? extreme.name
  const at = (series: Series) =>
    run.comparison.find(
      (row) => row.candidate?.subject.index === extreme.index && row.phase === 'DECODE' && row.test === series.test,
    )
  const sentences = [shallowSentence(first, baseline, shallow, extreme, label, at(shallow))]
  if (deep !== shallow)
    sentences.push(deepSentence(baseline, shallow, deep, label, at(shallow), at(deep), run, extreme))
  return [...sentences, missing(run)]
}

function decodesOf(run: BenchmarkRun, subject: Subject): Series[] {
  return run.series
    .filter((series) => series.phase === 'DECODE' && series.subject.index === subject.index && series.batch === 1)
    .toSorted((a, b) => a.depth - b.depth)
}

/** Bytes of weights that a step of a decode reads, as kvShareOfBytes counts them; of runs stored before that, all weights. */
function weightBytes({ bytesRead, kvBytesRead, generatedTokens, subject }: Series): number {
  if (bytesRead !== null && kvBytesRead !== null) return (bytesRead - kvBytesRead) / generatedTokens
  return subject.model.parameters * (subject.computeDtype === null ? 4 : bytesPerWeight[subject.computeDtype])
}

function cacheShare(label: string, series: Series): string {
  const cache = series.kvCacheBytes ?? 0
  const share = cache / (cache + weightBytes(series))
  return `At depth ${series.depth} a step of ${label} reads ${formatDecimalBytes(cache)} of K/V cache beside ${formatDecimalBytes(weightBytes(series))} of weights: ${formatPercent(share)} of its bytes.`
}

function shallowSentence(
  first: Subject,
  baseline: string,
  series: Series,
  extreme: Subject,
  label: string,
  row: SeriesComparison | undefined,
): string {
  const cache = series.kvCacheBytes ?? 0
  const share = cache / (cache + weightBytes(series))
  const bytes = `At depth ${series.depth} the K/V cache is ${formatPercent(share)} of the bytes that a step of ${baseline} reads (${formatDecimalBytes(cache)} beside ${formatDecimalBytes(weightBytes(series))} of weights)`
  const fewer = 1 - extreme.model.parameters / first.model.parameters
  const side = sideOf(row)
  const ratio = row?.ratio == null ? '' : ` (${formatRatio(row.ratio, row.interval)})`
  if (share > 0.02)
    return `${bytes}; ${label} takes ${side === null ? 'a time that this run cannot tell apart' : side}${ratio}.`
  const reason = `${bytes}, so the cache can be no reason for a difference there`
  if (side === null) return `${reason}, and this run shows none between ${label} and ${baseline}${ratio}.`
  return `${reason}: ${label} takes ${side}${ratio}, with ${formatPercent(fewer)} fewer weights to read.`
}

function deepSentence(
  baseline: string,
  shallow: Series,
  deep: Series,
  label: string,
  atShallow: SeriesComparison | undefined,
  atDeep: SeriesComparison | undefined,
  run: BenchmarkRun,
  extreme: Subject,
): string {
  const own = run.series.find(
    (series) => series.phase === 'DECODE' && series.subject.index === extreme.index && series.test === deep.test,
  )
  const bytes = `At depth ${deep.depth} ${baseline} reads ${formatDecimalBytes(deep.kvCacheBytes ?? 0)} of cache a token and ${label} ${formatDecimalBytes(own?.kvCacheBytes ?? 0)}`
  const side = sideOf(atDeep)
  const ratio = atDeep?.ratio == null ? '' : ` (${formatRatio(atDeep.ratio, atDeep.interval)})`
  if (side === null) return `${bytes}; this run shows no difference in time between them${ratio}.`
  const told = `${bytes}; ${label} takes ${side} there${ratio}`
  if (side === 'less time' && liesBelow(atDeep, atShallow)) {
    return `${told}, less than at depth ${shallow.depth} by more than the intervals allow: that is what sharing K/V heads saves.`
  }
  return `${told}, but ${whyUntold(shallow, deep, atShallow, atDeep)}: this run does not tell the cache's part.`
}

function whyUntold(
  shallow: Series,
  deep: Series,
  atShallow: SeriesComparison | undefined,
  atDeep: SeriesComparison | undefined,
): string {
  if (atShallow?.interval == null) return `there is no interval at depth ${shallow.depth} to hold it against`
  if (liesBelow(atShallow, atDeep)) return `the ratio at depth ${shallow.depth} is lower still`
  return liesBelow(atDeep, atShallow)
    ? `the ratio at depth ${shallow.depth} is higher still`
    : `the intervals at depth ${shallow.depth} and ${deep.depth} overlap`
}

function sideOf(row: SeriesComparison | undefined): 'less time' | 'more time' | null {
  if (row?.interval == null) return null
  if (row.interval.high < 1) return 'less time'
  return row.interval.low > 1 ? 'more time' : null
}

function liesBelow(one: SeriesComparison | undefined, other: SeriesComparison | undefined): boolean {
  return one?.interval != null && other?.interval != null && one.interval.high < other.interval.low
}

/** Whether all subjects are one architecture but for the sharing of its heads: only then can a difference be laid to it. */
function differInKvHeadsOnly(subjects: readonly Subject[]): boolean {
  // Weights of any dtype are read as the engine computes with them: a converted copy is stored in another.
  const shape = ({ model, device, threads, computeDtype }: Subject) =>
    JSON.stringify([
      model.family,
      model.layers,
      model.heads,
      model.keyDim,
      model.hiddenSize,
      model.vocabularySize,
      device,
      threads,
      computeDtype,
    ])
  return new Set(subjects.map(shape)).size === 1
}

function differentModels(run: BenchmarkRun, labels: readonly string[]): string {
  const sizes = run.subjects.map(
    ({ model }, index) => `${labels[index]} ${model.layers} layers of width ${model.hiddenSize}`,
  )
  return `These models differ in more than their K/V heads (${sizes.join(', ')}), so no difference of their times can be laid to the K/V cache.`
}

/** What the run cannot say, whatever its figures. */
function missing(run: BenchmarkRun): string {
  const single = run.series.some(({ phase, samples }) => phase === 'LOAD' && samples.length === 1)
    ? ' Load and cold are single values and carry no interval.'
    : ''
  const quality = run.subjects.some((subject) => subject.synthetic)
    ? 'with synthetic weights it could not'
    : 'it measures time and bytes only'
  return `Not shown: what sharing costs in quality (${quality}), longer contexts and other hardware.${single}`
}
