import type { Command } from 'commander'
import { RunsDocument, type RunsQuery } from '../../generated/operations.ts'
import type { Style } from '../../render/style.ts'
import { tableToText, wrap } from '../../render/table.ts'
import { formatMilliseconds } from '../../render/units.ts'
import { type CommandContext, examples, oneOf, wholeNumber, withJsonOption } from '../command.ts'
import { withApi } from '../server.ts'
import { deliver, type JsonOption } from '../terminal.ts'
import { type FilterOptions, filterOf, withFilterOptions } from './run-filter.ts'

const orders = ['NEWEST', 'OLDEST', 'FASTEST', 'SLOWEST'] as const

interface ListOptions extends FilterOptions {
  limit: number
  order: (typeof orders)[number]
  server?: string
  json?: JsonOption
}

/** `kvscope runs`: what is stored. */
export function addListCommand(runs: Command, context: CommandContext): void {
  const list = runs
    .command('list', { isDefault: true })
    .description('list the stored runs')
    .option('-n, --limit <N>', 'how many', wholeNumber(1, 1000), 20)
    .option('--order <ORDER>', orders.join(', '), oneOf(orders), 'NEWEST')
  withFilterOptions(list)
    .option('--server <URL>', 'the API to ask (default: the one of the data folder)')
    .addHelpText(
      'after',
      examples(
        'runs',
        'runs --status FAILED --since 7d',
        'runs --label branch=main --kind benchmark --kv-heads 1',
        'runs --model gpt2 --order FASTEST --json',
      ),
    )
    .action((options: ListOptions) => listRuns(options, context))
  withJsonOption(list)
}

type ListedRun = RunsQuery['runs']['nodes'][number]

async function listRuns(options: ListOptions, context: CommandContext): Promise<void> {
  const { terminal } = context
  const filter = filterOf(options)
  const runs = await withApi(context, options.server, async (client) => {
    const found: ListedRun[] = []
    for (let after: string | null = null; found.length < options.limit; ) {
      const first = Math.min(100, options.limit - found.length)
      const page: RunsQuery = await client.request(RunsDocument, { first, after, filter, orderBy: options.order })
      found.push(...page.runs.nodes)
      if (!page.runs.pageInfo.hasNextPage) break
      after = page.runs.pageInfo.endCursor
    }
    return found
  })
  const text =
    runs.length === 0 ? 'No run fits. Make one with: kvscope demo' : runsText(runs, terminal.style, terminal.width)
  await deliver(terminal, options.json, runs, text)
}

/** A line a run, and below it its subjects, labels and note: side by side they would not fit. */
function runsText(runs: readonly ListedRun[], style: Style, width: number): string {
  const table = tableToText({
    columns: [{ title: 'id' }, { title: 'queued' }, { title: 'status' }, { title: 'ms/token', align: 'right' }],
    rows: runs.map((run) => [
      run.id,
      run.queuedAt.slice(0, 16).replace('T', ' '),
      run.status === 'RUNNING' ? `${Math.floor(run.fraction * 100)} %` : run.status.toLowerCase(),
      keyFigure(run),
    ]),
  })
  const [titles = '', rule = '', ...lines] = table.split('\n')
  const body = runs.flatMap((run, index) => {
    const names = run.subjects.map(({ name, synthetic }) => (synthetic ? `${name}*` : name)).join(', ')
    const said = [...(run.pinned ? ['pinned'] : []), ...run.labels.map(({ key, value }) => `${key}=${value}`)]
    return [
      lines[index] ?? '',
      ...wrap(names, width - 2).map((line) => `  ${line}`),
      ...wrap(said.join(', '), width - 2).flatMap((line) => (line === '' ? [] : [style.dim(`  ${line}`)])),
    ]
  })
  const synthetic = runs.some(({ subjects }) => subjects.some((subject) => subject.synthetic))
  return [style.bold(titles), rule, ...body, ...(synthetic ? [style.warn('* SYNTHETIC WEIGHTS')] : [])].join('\n')
}

function keyFigure(run: ListedRun): string {
  if (!('keyFigure' in run) || run.keyFigure === null) return ''
  const { promptTokens, generatedTokens, batch, summary } = run.keyFigure
  return formatMilliseconds(summary.median / ((promptTokens + generatedTokens) * batch)).replace(/ ms$/, '')
}
