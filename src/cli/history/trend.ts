import { type Command, InvalidArgumentError } from 'commander'
import { type Phase, TrendOfDocument, type TrendOfQuery } from '../../generated/operations.ts'
import { phases } from '../../jobs/glossary.ts'
import type { Style } from '../../render/style.ts'
import { tableToText, wrap } from '../../render/table.ts'
import { formatBytes, formatMilliseconds, formatRate, formatRatio } from '../../render/units.ts'
import { type CommandContext, examples, oneOf, wholeNumber, withJsonOption } from '../command.ts'
import { writeOutFile } from '../out-file.ts'
import { withApi } from '../server.ts'
import { deliver, type JsonOption } from '../terminal.ts'
import { type FilterOptions, filterOf, withFilterOptions } from './run-filter.ts'
import { sparkline } from './sparkline.ts'

const metrics = {
  time: 'TIME',
  tokens: 'TOKENS_PER_SECOND',
  kv: 'KV_CACHE_BYTES',
  memory: 'PEAK_MEMORY_BYTES',
} as const

interface Options extends FilterOptions {
  test?: AskedTest
  phase?: Phase
  metric: keyof typeof metrics
  limit: number
  last: number
  out?: string
  server?: string
  json?: JsonOption
}

interface AskedTest {
  name: string
  phase: Phase
}

type Trend = TrendOfQuery['trend']

/** `kvscope runs trend`: one series over the runs that have it, and where its level changed. */
export function addTrendCommand(runs: Command, context: CommandContext): void {
  const trend = runs
    .command('trend')
    .argument('<SUBJECT>', 'name of the model in the runs, as `kvscope runs` lists it')
    .description('how one test went over the runs: since when it is faster or slower, and by how much')
    .option('--test <TEST>', "the test, such as tg128 or 'tg128 @ d512'", parseTest)
    .option('--phase <PHASE>', 'in place of a test: load, cold, forward', oneOf(phases))
    .option(
      '--metric <METRIC>',
      'time, tokens (a second), kv, memory',
      oneOf(['time', 'tokens', 'kv', 'memory'] as const),
      'time',
    )
    .option('--limit <N>', 'the newest runs', wholeNumber(1, 2000), 500)
    .option('--last <N>', 'runs that the table shows', wholeNumber(1, 2000), 10)
    .option('--out <FILE>', 'also write the picture, SVG')
  withFilterOptions(trend)
    .option('--server <URL>', 'the API to ask (default: the one of the data folder)')
    .addHelpText(
      'after',
      examples(
        'runs trend gpt2 --test tg8',
        "runs trend gpt2 --test 'tg8 @ d32' --metric tokens --since 30d",
        'runs trend gpt2 --phase load --out trend.svg',
      ),
    )
    .action((subject: string, options: Options) => {
      if ((options.test === undefined) === (options.phase === undefined))
        trend.error('error: give --test TEST, or --phase load, cold or forward')
      return showTrend(subject, options, context)
    })
  withJsonOption(trend)
}

/** A test in llama-bench's words; what it generates and processes says which phase it is. */
export function parseTest(text: string): AskedTest {
  const found = /^(pp\d+)?(\+)?(tg\d+)?(?:\s*@\s*(d\d+))?(?:\s+(x\d+))?$/.exec(text.trim().toLowerCase())
  const [, pp, plus, tg, depth, batch] = found ?? []
  if ((pp === undefined && tg === undefined) || (plus !== undefined) !== (pp !== undefined && tg !== undefined))
    throw new InvalidArgumentError(`${text} is no test such as pp512, tg128, pp512+tg128 or 'tg128 @ d512'.`)
  const name = [pp, tg].filter((part) => part !== undefined).join('+')
  return {
    name: `${name}${depth === undefined || depth === 'd0' ? '' : ` @ ${depth}`}${batch === undefined ? '' : ` ${batch}`}`,
    phase: pp === undefined ? 'DECODE' : tg === undefined ? 'PREFILL' : 'COMBINED',
  }
}

async function showTrend(subject: string, options: Options, context: CommandContext): Promise<void> {
  const { test, phase = test?.phase ?? 'DECODE', metric, limit, out } = options
  const { terminal } = context
  const trend = await withApi(context, options.server, async (client) => {
    const filter = filterOf(options)
    const input = { subject, phase, test: test?.name ?? null, metric: metrics[metric], limit, filter }
    const found = (await client.request(TrendOfDocument, { input })).trend
    if (out !== undefined) await writeOutFile(out, [await client.file(found.chartUrl)])
    return found
  })
  const title = `${subject}, ${test?.name ?? phase.toLowerCase()}, ${trend.unit}`
  await deliver(terminal, options.json, trend, trendText(trend, { title, last: options.last }, terminal.style))
}

/** The points as a line, the last of them as a table, and every change of level, in at most 80 columns. */
export function trendText(trend: Trend, { title, last }: { title: string; last: number }, style: Style): string {
  const { points, changes, excluded, unit } = trend
  if (points.length === 0) return `${title}: no run has such a series.${excludedText(excluded)}`
  const changed = new Map(changes.map((change) => [change.after.runId, change]))
  const table = tableToText(
    {
      columns: [{ title: 'queued' }, { title: 'run' }, { title: 'median', align: 'right' }, { title: 'change' }],
      rows: points.slice(-last).map((point) => {
        const change = changed.get(point.runId)
        return [
          point.at.slice(0, 16).replace('T', ' '),
          point.runId,
          formatValue(point.value, unit),
          change === undefined ? '' : formatRatio(change.ratio, null),
        ]
      }),
    },
    { head: style.bold, width: 80 },
  )
  const values = points.map(({ value }) => value)
  const span = `${formatValue(Math.min(...values), unit)} to ${formatValue(Math.max(...values), unit)}`
  return [
    style.bold(title),
    style.accent(sparkline(values, 80)),
    ...wrap(`${points.length} run${points.length === 1 ? '' : 's'} from ${points[0]?.at.slice(0, 10)} on, ${span}`, 80),
    table,
    ...changes.flatMap((change) => {
      const to = `${change.after.at.slice(0, 16).replace('T', ' ')}, run ${change.after.runId}`
      return wrap(`· since ${to}: ${formatRatio(change.ratio, change.interval)} of the level before`, 80)
    }),
    ...(changes.length === 0 ? ['· no change of level'] : []),
    ...(excluded === 0 ? [] : wrap(`·${excludedText(excluded)}`, 80)),
  ].join('\n')
}

function excludedText(excluded: number): string {
  if (excluded === 0) return ''
  return ` ${excluded} run${excluded === 1 ? ' is' : 's are'} left out: device, dtype, threads or machine differ from the newest run's.`
}

function formatValue(value: number, unit: string): string {
  if (unit === 'ms') return formatMilliseconds(value)
  return unit === 'bytes' ? formatBytes(value) : `${formatRate(value)} t/s`
}
