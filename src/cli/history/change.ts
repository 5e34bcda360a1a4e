import type { Command } from 'commander'
import { AppError } from '../../errors.ts'
import { DeleteRunDocument, EditRunDocument, RunAnnotationsDocument } from '../../generated/operations.ts'
import { type CommandContext, collect, examples, labelOption, withJsonOption } from '../command.ts'
import { findRunId, findRunIds, runArgument } from '../find-run.ts'
import { withApi } from '../server.ts'
import { deliver, type JsonOption } from '../terminal.ts'

interface EditOptions {
  label?: { key: string; value: string }[]
  unlabel?: string[]
  note?: string
  pin?: true
  unpin?: true
  server?: string
  json?: JsonOption
}

/** `kvscope runs edit` and `kvscope runs rm`: what is written about a run, and runs that go. */
export function addChangeCommands(runs: Command, context: CommandContext): void {
  const edit = runs
    .command('edit')
    .argument('<ID>', runArgument)
    .description('change the labels, the note or the pin of a run')
    .option('--label <KEY=VALUE>', 'set a label; others stay (may be repeated)', labelOption)
    .option('--unlabel <KEY>', 'take a label away (may be repeated)', collect)
    .option('--note <TEXT>', "the note; '' takes it away")
    .option('--pin', 'keep the run whatever a retention rule says')
    .option('--unpin', 'leave it to the rule again')
    .option('--server <URL>', 'the API to ask (default: the one of the data folder)')
    .addHelpText(
      'after',
      examples(
        "runs edit latest --label branch=main --note 'before the new cache' --pin",
        'runs edit latest --unpin --unlabel branch',
      ),
    )
    .action((id: string, options: EditOptions) => {
      const { label, unlabel, note, pin, unpin } = options
      if (pin && unpin) edit.error('error: --pin and --unpin exclude each other')
      if (![label, unlabel, note, pin, unpin].some((given) => given !== undefined))
        edit.error('error: say what changes: --label, --unlabel, --note, --pin or --unpin')
      return editRun(id, options, context)
    })
  withJsonOption(edit)

  const remove = runs
    .command('rm')
    .argument('<ID...>', runArgument)
    .description('delete finished runs with all their results')
    .option('--server <URL>', 'the API to ask (default: the one of the data folder)')
    .addHelpText('after', examples('runs rm latest', 'runs rm latest latest~1'))
    .action((ids: string[], options: { server?: string; json?: JsonOption }) => removeRuns(ids, options, context))
  withJsonOption(remove)
}

async function editRun(named: string, options: EditOptions, context: CommandContext): Promise<void> {
  const { label = [], unlabel = [], note, pin, unpin } = options
  const edited = await withApi(context, options.server, async (client) => {
    const id = await findRunId(client, named)
    const { run } = await client.request(RunAnnotationsDocument, { id })
    if (run === null) throw new AppError('NOT_FOUND', `No run has the id ${id}`, 'List the runs with: kvscope runs')
    const keep = run.labels.filter(({ key }) => !unlabel.includes(key) && !label.some((one) => one.key === key))
    const changed = await client.request(EditRunDocument, {
      id,
      ...(label.length + unlabel.length === 0 ? {} : { labels: [...keep, ...label] }),
      ...(note === undefined ? {} : { note: note === '' ? null : note }),
      ...(pin || unpin ? { pinned: pin === true } : {}),
    })
    return changed.editRun.run
  })
  const labels = edited.labels.map(({ key, value }) => `${key}=${value}`).join(', ')
  const lines = [
    `${edited.id}${edited.pinned ? ', pinned' : ''}`,
    `labels  ${labels === '' ? 'none' : labels}`,
    `note    ${edited.note ?? 'none'}`,
  ]
  await deliver(context.terminal, options.json, edited, lines.join('\n'))
}

/** All are looked up first; what one of them is refused for leaves the others deleted, and is told at the end. */
async function removeRuns(
  named: readonly string[],
  options: { server?: string; json?: JsonOption },
  context: CommandContext,
): Promise<void> {
  const deleted: string[] = []
  const failures: AppError[] = []
  await withApi(context, options.server, async (client) => {
    for (const id of await findRunIds(client, named)) {
      try {
        deleted.push((await client.request(DeleteRunDocument, { id })).deleteRun.deletedId)
      } catch (error) {
        if (!(error instanceof AppError) || context.signal.aborted) throw error
        failures.push(error)
      }
    }
  })
  const text = deleted.length === 0 ? 'Nothing was deleted.' : deleted.map((id) => `deleted ${id}`).join('\n')
  await deliver(context.terminal, options.json, { deleted }, text)
  const [first, ...others] = failures
  if (first === undefined) return
  for (const other of others) context.terminal.warn(`${other.code}: ${other.message}`)
  throw first
}
