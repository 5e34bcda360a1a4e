import { type Command, InvalidArgumentError } from 'commander'
import { AppError } from '../errors.ts'
import { RunsDocument, type RunsQuery } from '../generated/operations.ts'
import type { Style } from '../render/style.ts'
import { tableToText, wrap } from '../render/table.ts'
import { formatMilliseconds } from '../render/units.ts'
import type { ApiClient } from './client.ts'
import { type CommandContext, examples, wholeNumber, withJsonOption } from './command.ts'
import { withApi } from './server.ts'
import { showRun as showStoredRun } from './show-run.ts'
import { deliver, type JsonOption } from './terminal.ts'

const statuses = ['QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELED'] as const
const orders = ['NEWEST', 'OLDEST', 'FASTEST', 'SLOWEST'] as const

interface ListOptions {
  limit: number
  order: (typeof orders)[number]
  status?: (typeof statuses)[number]
  model?: string
  text?: string
  server?: string
  json?: JsonOption
}

/** `kvscope runs` and `kvscope runs show`: what is stored. */
export function addRunsCommand(program: Command, context: CommandContext): void {
  const runs = program.command('runs').description('list the stored runs, or show one')
  const list = runs
    .command('list', { isDefault: true })
    .description('list the stored runs')
    .option('-n, --limit <N>', 'how many', wholeNumber(1, 1000), 20)
    .option('--order <ORDER>', orders.join(', '), oneOf(orders), 'NEWEST')
    .option('--status <STATUS>', `only ${statuses.join(', ')}`, oneOf(statuses))
    .option('--model <NAME>', 'only runs of this model')
    .option('--text <TEXT>', "only runs with this in the note or a subject's name")
    .option('--server <URL>', 'the API to ask (default: the one of the data folder)')
    .addHelpText('after', examples('runs', 'runs --status FAILED', 'runs --model gpt2-medium --order FASTEST --json'))
    .action((options: ListOptions) => listRuns(options, context))
  withJsonOption(list)
  const show = runs
    .command('show')
    .argument('<ID>', 'id of a run, or "latest"')
    .description('everything about one run')
    .option('--server <URL>', 'the API to ask (default: the one of the data folder)')
    .addHelpText('after', examples('runs show latest', 'runs show 0193a1b2-... --json run.json'))
    .action((id: string, options: { server?: string; json?: JsonOption }) => showRun(id, options, context))
  withJsonOption(show)
}

function oneOf<T extends string>(choices: readonly T[]): (text: string) => T {
  return (text) => {
    const found = choices.find((choice) => choice === text.toUpperCase() || choice === text.toLowerCase())
    if (found === undefined) throw new InvalidArgumentError(`${text} is none of ${choices.join(', ')}.`)
    return found
  }
}

type ListedRun = RunsQuery['runs']['nodes'][number]

async function listRuns(options: ListOptions, context: CommandContext): Promise<void> {
  const { terminal } = context
  const filter = {
    ...(options.status === undefined ? {} : { status: [options.status] }),
    ...(options.model === undefined ? {} : { model: options.model }),
    ...(options.text === undefined ? {} : { text: options.text }),
  }
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

/** A line a run, and below it its subjects: side by side they would not fit. */
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
  const body = runs.flatMap(({ subjects }, index) => {
    const names = subjects.map(({ name, synthetic }) => (synthetic ? `${name}*` : name)).join(', ')
    return [lines[index] ?? '', ...wrap(names, width - 2).map((line) => `  ${line}`)]
  })
  const synthetic = runs.some(({ subjects }) => subjects.some((subject) => subject.synthetic))
  return [style.bold(titles), rule, ...body, ...(synthetic ? [style.warn('* SYNTHETIC WEIGHTS')] : [])].join('\n')
}

function keyFigure(run: ListedRun): string {
  if (!('keyFigure' in run) || run.keyFigure === null) return ''
  const { promptTokens, generatedTokens, batch, summary } = run.keyFigure
  return formatMilliseconds(summary.median / ((promptTokens + generatedTokens) * batch)).replace(/ ms$/, '')
}

async function showRun(
  id: string,
  options: { server?: string; json?: JsonOption },
  context: CommandContext,
): Promise<void> {
  const { terminal } = context
  const shown = await withApi(context, options.server, async (client) =>
    showStoredRun(client, await findRunId(client, id), { screen: terminal, json: options.json }),
  )
  await deliver(terminal, options.json, shown.json, shown.text)
}

/**
 * The id that a user names: `latest` is the run that was queued last.
 * @throws AppError NOT_FOUND where none is stored
 */
export async function findRunId(client: ApiClient, id: string): Promise<string> {
  if (id !== 'latest') return id
  const { runs } = await client.request(RunsDocument, { first: 1, after: null, filter: {}, orderBy: 'NEWEST' })
  const [latest] = runs.nodes
  if (latest === undefined) throw new AppError('NOT_FOUND', 'No run is stored', 'Make one with: kvscope demo')
  return latest.id
}
