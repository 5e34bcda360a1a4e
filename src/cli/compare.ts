import { type Command, InvalidArgumentError } from 'commander'
import { CompareRunsDocument, type CompareRunsQuery } from '../generated/operations.ts'
import type { Style } from '../render/style.ts'
import { tableToText, wrap } from '../render/table.ts'
import { formatMilliseconds, formatRatio } from '../render/units.ts'
import { type CommandContext, examples, withJsonOption } from './command.ts'
import { phaseLabel } from './run-labels.ts'
import { withApi } from './server.ts'
import { deliver, type JsonOption } from './terminal.ts'

interface Options {
  margin: number
  force?: true
  server?: string
  json?: JsonOption
}

/** `kvscope compare`: one run against another, series by series. */
export function addCompareCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('compare')
    .argument('<BASELINE>', 'id of the run to compare with')
    .argument('<CANDIDATE...>', 'ids of the runs that are compared')
    .description('compare runs, with intervals: FASTER, SLOWER, NO_DIFFERENCE or INCONCLUSIVE')
    .option('--margin <SHARE>', 'largest difference that counts as none', share, 0.02)
    .option('--force', 'give ratios even where runs are not comparable')
    .option('--server <URL>', 'the API to ask (default: the one of the data folder)')
    .addHelpText('after', examples('compare 0193a1b2-... 0193a1c4-...', 'compare A B --margin 0.05 --json'))
    .action((baseline: string, candidates: string[], options: Options) =>
      compare(baseline, candidates, options, context),
    )
  withJsonOption(command)
}

function share(text: string): number {
  const value = Number(text)
  if (!(value >= 0 && value < 1)) throw new InvalidArgumentError(`${text} is not a share from 0 to below 1.`)
  return value
}

async function compare(
  baseline: string,
  candidates: string[],
  options: Options,
  context: CommandContext,
): Promise<void> {
  const input = { baseline: { runId: baseline }, candidates, margin: options.margin, force: options.force ?? false }
  const { compareRuns } = await withApi(context, options.server, (client) =>
    client.request(CompareRunsDocument, { input }),
  )
  await deliver(context.terminal, options.json, compareRuns, comparisonText(compareRuns, context.terminal.style))
}

type Comparison = CompareRunsQuery['compareRuns']

function comparisonText(comparison: Comparison, style: Style): string {
  const reasons = comparison.reasons.flatMap((reason) => wrap(`! ${reason}`, 80))
  const rows = 'rows' in comparison ? comparison.rows : []
  const several = comparison.candidates.length > 1
  const table = tableToText(
    {
      columns: [
        ...(several ? [{ title: 'run' }] : []),
        { title: 'subject' },
        { title: 'measured' },
        { title: 'median', align: 'right' as const },
        { title: 'ratio [95 %]' },
        { title: 'verdict' },
      ],
      rows: rows.map((row) => {
        const series = row.candidate ?? row.baseline
        return [
          ...(several ? [row.candidateId.slice(-6)] : []),
          series?.subject.name ?? '',
          series === null ? row.phase.toLowerCase() : phaseLabel({ ...series, phase: row.phase }),
          row.candidate === null ? '–' : formatMilliseconds(row.candidate.summary.median),
          row.ratio === null ? '–' : formatRatio(row.ratio, row.interval),
          verdictText(row.verdict, style),
        ]
      }),
    },
    { head: style.bold, width: 80 },
  )
  const why = [...new Set(rows.flatMap((row) => row.reasons))].flatMap((reason) => wrap(`· ${reason}`, 80))
  const synthetic = rows.some(({ baseline, candidate }) => [baseline, candidate].some((one) => one?.subject.synthetic))
  return [
    ...(synthetic
      ? [style.warn('SYNTHETIC WEIGHTS: drawn from a seed; the speed is real, the text would not be')]
      : []),
    ...reasons,
    table,
    ...why,
    style.dim('ratio: median time of the candidate / of the baseline; below 1 is faster'),
  ].join('\n')
}

function verdictText(verdict: string, style: Style): string {
  const paint = { FASTER: style.good, SLOWER: style.bad, NOT_COMPARABLE: style.warn }
  return verdict in paint ? paint[verdict as keyof typeof paint](verdict) : verdict
}
