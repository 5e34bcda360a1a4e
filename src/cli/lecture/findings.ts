import { type MisreadMatrix, misreadAsMqa } from '../../architecture/lecture-falcon-claims.ts'
import { formatCount, formatDecimalBytes, formatInteger, formatMilliseconds, formatRatio } from '../../render/units.ts'
import type { BenchmarkRun, Series } from '../benchmark-run.ts'
import { estimateText } from '../diversity-text.ts'
import { phaseLabel, stepsOf } from '../run-labels.ts'
import type { ModelHeads } from './replay.ts'

/** Warnings that are about how was measured, and not about the machine or the weights. */
const aboutMethod: readonly string[] = [
  'ORDER_FIXED',
  'NOT_WARMED_UP',
  'SINGLE_TRIAL',
  'FEW_BLOCKS',
  'NO_CACHE_READ',
  'MODELS_DIFFER',
  'FIRST_TRIAL',
  'FAMILY_MISLEADS',
]

export interface MethodWarning {
  code: string
  message: string
  advice: string
}

/** What the run says of its own method, each code once, whether of the run, of a series or of a model. */
export function methodWarnings(run: BenchmarkRun): MethodWarning[] {
  const all = [
    ...run.warnings,
    ...run.series.flatMap(({ warnings }) => warnings),
    ...run.subjects.flatMap(({ model }) => model.warnings),
  ]
  return aboutMethod.flatMap((code) => all.find((warning) => warning.code === code) ?? [])
}

/** What the lecture's own method gives, and what is said of it. */
export function asItWasFindings(run: BenchmarkRun): string[] {
  const [first, second] = run.series.filter(({ phase }) => phase === 'COLD')
  if (first === undefined || second === undefined) return []
  const [before, after] = [first.summary.median, second.summary.median]
  const faster = after < before
  const factor = faster ? before / after : after / before
  const row = run.comparison.find(({ phase }) => phase === 'COLD')
  const warnings = methodWarnings(run)
  return [
    `${first.subject.name}, the first, took ${formatMilliseconds(before)} and ${second.subject.name} ${formatMilliseconds(after)}, one forward pass of ${first.promptTokens} tokens each: ${second.subject.name} was ${factor.toFixed(2)} times ${faster ? 'faster' : 'slower'}, and nothing follows from it.`,
    ...(row === undefined
      ? []
      : [
          `kvscope's verdict on the two is ${row.verdict}${row.reasons[0] === undefined ? '' : `: ${row.reasons.join('; ')}`}.`,
        ]),
    `The method is flagged by ${warnings.length} warnings: ${warnings.map(({ code }) => code).join(', ')}.`,
  ]
}

/** The two models as they are, timed as they should be. */
export function asItShouldBeFindings(run: BenchmarkRun): string[] {
  const [first, second] = run.subjects
  if (first === undefined || second === undefined) return []
  const kind = ({ name, model }: typeof first) =>
    `${name} is ${model.attentionKind} (${model.heads} query heads, ${model.kvHeads ?? 'latent'} K/V heads, ${formatInteger(model.kvBytesPerToken)} bytes a token in F16, ${formatCount(model.parameters)} parameters)`
  return [
    `${kind(first)}; ${kind(second)}.`,
    ...run.series
      .filter(({ phase, subject }) => phase === 'DECODE' && subject.index === second.index)
      .map((series) => ratioSentence(run, series)),
  ]
}

function seriesOf(run: BenchmarkRun, index: number, like: Series): Series | undefined {
  return run.series.find((each) => each.subject.index === index && each.phase === like.phase && each.test === like.test)
}

/** A ratio of times beside the ratio of what had to be read. */
function ratioSentence(run: BenchmarkRun, series: Series): string {
  const base = seriesOf(run, 0, series)
  const row = run.comparison.find(({ candidate }) => candidate === series)
  if (base === undefined || row?.ratio == null) return `${phaseLabel(series)}: not compared.`
  const told = `${capital(phaseLabel(series))}: ${series.subject.name} takes ${formatRatio(row.ratio, row.interval)} of ${base.subject.name}'s time`
  const read = (of: Series) => (of.bytesRead === null ? null : of.bytesRead / stepsOf(of))
  const [own, others] = [read(series), read(base)]
  if (own === null || others === null) return `${told}.`
  return `${told}, and reads ${(own / others).toFixed(2)} times as many bytes a step (${formatDecimalBytes(own)} against ${formatDecimalBytes(others)}), of which its cache is ${shareText(series)}.`
}

function capital(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`
}

function shareText({ kvShareOfBytes }: Series): string {
  return kvShareOfBytes === null ? 'unknown' : `${(100 * kvShareOfBytes).toFixed(1)} %`
}

/** One model with its own K/V heads and with one: what the cache is of the bytes, and what a cached token costs. */
export function honestPairFindings(run: BenchmarkRun): string[] {
  const decodes = run.series
    .filter(({ phase, subject }) => phase === 'DECODE' && subject.index === 0)
    .toSorted((a, b) => a.depth - b.depth)
  const shares = decodes.map((series) => `${shareText(series)} at depth ${formatInteger(series.depth)}`)
  return [
    ...(shares.length === 0
      ? []
      : [`Of the bytes that a step of ${decodes[0]?.subject.name} reads the K/V cache is ${shares.join(', ')}.`]),
    ...slopeFindings(run.fits),
  ]
}

function slopeFindings(fits: BenchmarkRun['fits']): string[] {
  const decodes = fits.filter(({ phase }) => phase === 'DECODE')
  const [own, shared] = decodes
  if (own === undefined || shared === undefined) {
    return ['The times over the depths lie on no straight line, so no cost of a cached token is told.']
  }
  const micro = (milliseconds: number) => (1000 * milliseconds).toPrecision(3)
  const told = [own, shared].map(({ subject, slope: { value, interval } }) => {
    const range = interval === null ? '' : ` [${micro(interval.low)}, ${micro(interval.high)}]`
    return `${micro(value)}${range} µs to a step of ${subject.name}`
  })
  const apart =
    own.slope.interval !== null && shared.slope.interval !== null && shared.slope.interval.high < own.slope.interval.low
  const so = apart ? 'the difference is what sharing K and V buys' : 'this run does not tell the two apart'
  return [`One more cached token adds ${told.join(' and ')}: ${so}.`]
}

/** What a reader of MQA's layout takes for the shared matrices of a Falcon that shares none. */
export function misreadMatrices({ model }: BenchmarkRun['subjects'][number]): MisreadMatrix[] {
  const { family, heads, kvHeads, keyDim } = model
  return family === 'falcon' && kvHeads === heads ? misreadAsMqa({ heads, kvHeads, headDim: keyDim }) : []
}

/** What the matrices and maps of one of the lecture's models show. */
export function headFindings({ name, weights, attention }: ModelHeads): string[] {
  const [subject] = weights.subjects
  if (subject === undefined) return []
  const { heads } = subject.model
  const sharing = (projection: 'K' | 'V') =>
    weights.compared.find((each) => each.projection === projection)?.sharing?.groups.length ?? 0
  const [diversity] = attention.diversity
  return [
    `${name}: ${heads} query heads read ${sharing('K')} matrices W_K and ${sharing('V')} W_V in layer 0.`,
    ...misreadMatrices(subject).map(
      ({ takenFor, rows, really }) =>
        `Read as MQA, "the shared ${takenFor}" would be rows ${rows[0]} to ${rows[1]} of its fused weight: they are head ${really.head}'s W_${really.projection}.`,
    ),
    ...(diversity === undefined
      ? []
      : [
          `The heads of its last layer lie ${estimateText(diversity.all)} apart (Jensen-Shannon distance, mean over ${attention.prompts.length} prompts)${subject.synthetic ? ': random weights, so this is chance, and not what the model has learned' : ''}.`,
        ]),
  ]
}
