import { type Command, InvalidArgumentError } from 'commander'
import { PruneRunsDocument, RetentionPlanDocument, type RetentionPlanQuery } from '../../generated/operations.ts'
import { tableToText } from '../../render/table.ts'
import { type CommandContext, examples, wholeNumber, withJsonOption } from '../command.ts'
import { confirm } from '../confirm.ts'
import { withApi } from '../server.ts'
import { deliver, type JsonOption } from '../terminal.ts'
import { parseSpan } from './run-filter.ts'

interface Options {
  keepPerLabel: number
  /** days */
  olderThan: number
  yes?: true
  server?: string
  json?: JsonOption
}

type Plan = RetentionPlanQuery['retentionPlan']

/** `kvscope runs prune`: old runs go, by a rule that says what it would drop before it does. */
export function addPruneCommand(runs: Command, context: CommandContext): void {
  const prune = runs
    .command('prune')
    .description(
      'delete old runs by a rule; pinned ones and baselines stay. Says first what goes and why the rest stays',
    )
    .requiredOption('--older-than <AGE>', 'only runs queued so long ago: 90d, 2w, 12h; a bare number is days', days)
    .option(
      '--keep-per-label <N>',
      'of each label the newest N stay; runs without labels count as one',
      wholeNumber(0),
      0,
    )
    .option('-y, --yes', 'do not ask; without it in a pipe nothing is deleted')
    .option('--server <URL>', 'the API to ask (default: the one of the data folder)')
    .addHelpText(
      'after',
      examples('runs prune --older-than 90d --keep-per-label 20', 'runs prune --older-than 365d --yes'),
    )
    .action((options: Options) => pruneRuns(options, context))
  withJsonOption(prune)
}

function days(text: string): number {
  const span = parseSpan(text)
  if (span === null) throw new InvalidArgumentError(`${text} is no age such as 90d, 2w or 12h.`)
  return span / 86_400e3
}

async function pruneRuns(options: Options, context: CommandContext): Promise<void> {
  const { terminal } = context
  const rule = { olderThanDays: options.olderThan, keepPerLabel: options.keepPerLabel }
  await withApi(context, options.server, async (client) => {
    const { retentionPlan: plan } = await client.request(RetentionPlanDocument, { rule })
    // With --json alone, stdout is the reader's of the JSON.
    const say = options.json === true ? terminal.note : terminal.print
    say(planText(plan, options))
    const asks = `Delete ${plan.drops} run${plan.drops === 1 ? '' : 's'}? [y/N] `
    const goes = plan.drops > 0 && (options.yes === true || (await confirm(context, asks)))
    const deleted = goes
      ? (await client.request(PruneRunsDocument, { rule, digest: plan.digest })).pruneRuns.deleted
      : 0
    await deliver(terminal, options.json, { ...plan, deleted }, outcomeText(plan, deleted))
  })
}

function planText(plan: Plan, { olderThan, keepPerLabel }: Options): string {
  const kept = [
    [plan.keptPinned, 'pinned'],
    [plan.keptBaselines, 'named by a baseline'],
    [plan.keptPerLabel, `among the newest ${keepPerLabel} of a label`],
  ] as const
  const stays = kept.filter(([count]) => count > 0).map(([count, why]) => `${count} ${why}`)
  const lines = [
    `Queued more than ${Number(olderThan.toFixed(2))} days ago: ${plan.drops} would go${stays.length === 0 ? '' : `; of those as old stay ${stays.join(', ')}`}.`,
  ]
  if (plan.drops > 0) {
    lines.push(
      tableToText(
        {
          columns: [{ title: 'id' }, { title: 'queued' }, { title: 'subjects' }],
          rows: plan.runs.map((run) => [
            run.id,
            run.queuedAt.slice(0, 10),
            [
              run.subjects.map(({ name }) => name).join(', '),
              ...run.labels.map(({ key, value }) => `${key}=${value}`),
            ].join(' '),
          ]),
        },
        { width: 80 },
      ),
    )
    if (plan.drops > plan.runs.length) lines.push(`... and ${plan.drops - plan.runs.length} younger ones`)
  }
  return lines.join('\n')
}

function outcomeText(plan: Plan, deleted: number): string {
  if (deleted > 0) return `deleted ${deleted} run${deleted === 1 ? '' : 's'}`
  return plan.drops === 0 ? 'Nothing to delete.' : 'Nothing was deleted: answer y, or add --yes.'
}
