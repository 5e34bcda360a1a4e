import { type Command, InvalidArgumentError } from 'commander'
import { CompareRunsDocument } from '../generated/operations.ts'
import { type CommandContext, examples, withJsonOption } from './command.ts'
import { comparisonText } from './comparison-text.ts'
import { withApi } from './server.ts'
import { deliver, type JsonOption } from './terminal.ts'

interface Options {
  margin: number
  force?: true
  server?: string
  json?: JsonOption
}

/** `kvscope compare`: one run against another of its kind. */
export function addCompareCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('compare')
    .argument('<BASELINE>', 'id of the run to compare with')
    .argument('<CANDIDATE...>', 'ids of the runs that are compared')
    .description('compare runs of one kind: times, weight matrices or the diversity of heads, with intervals')
    .option('--margin <SHARE>', 'largest difference of times that counts as none', share, 0.02)
    .option('--force', 'give ratios of times even where they are not comparable')
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
