import type { Command } from 'commander'
import type { CachedModel, PrunePlan } from '../checkpoints/hub-usage.ts'
import { AppError } from '../errors.ts'
import type { Style } from '../render/style.ts'
import { tableToText } from '../render/table.ts'
import { formatBytes } from '../render/units.ts'
import { type CommandContext, examples, withJsonOption } from './command.ts'
import { confirm } from './confirm.ts'
import { deliver, type JsonOption } from './terminal.ts'

/** `kvscope cache`: what of the hub is on this disk, and what of it goes. */
export function addCacheCommand(program: Command, context: CommandContext): void {
  const cache = program.command('cache').description('models of the hub on this disk, shared with Python')
  const ls = cache
    .command('ls')
    .description('the models in HF_HUB_CACHE, with their commits and sizes')
    .addHelpText('after', examples('cache ls', 'cache ls --json models.json'))
    .action((options: { json?: JsonOption }) => list(options, context))
  withJsonOption(ls)
  const prune = cache
    .command('prune')
    .argument('[MODEL...]', 'ORG/NAME of models to remove (default: what no branch, tag or commit in use needs)')
    .description('remove unfinished downloads, commits that no branch or tag leads to, and models that are named')
    .option('--yes', 'without asking')
    .addHelpText('after', examples('cache prune', 'cache prune --yes --json removed.json'))
    .action((models: string[], options: PruneOptions) => pruneCache(models, options, context))
  withJsonOption(prune)
}

async function list({ json }: { json?: JsonOption }, { terminal, config }: CommandContext): Promise<void> {
  const { scanCache } = await import('../checkpoints/hub-usage.ts')
  const { cacheDir } = config.hub
  const models = await scanCache(cacheDir)
  const plain = models.map(({ revisions, ...model }) => ({
    ...model,
    revisions: revisions.map(({ blobs: _, ...revision }) => revision),
  }))
  await deliver(terminal, json, { cacheDir, models: plain }, listText(cacheDir, models, terminal.style))
}

function listText(cacheDir: string, models: readonly CachedModel[], style: Style): string {
  if (models.length === 0) return `No model of the hub is in ${cacheDir}.`
  const total = models.reduce((sum, { bytes }) => sum + bytes, 0)
  const table = tableToText(
    {
      columns: [
        { title: 'model' },
        { title: 'commit' },
        { title: 'known as' },
        { title: 'files', align: 'right' },
        { title: 'size', align: 'right' },
      ],
      rows: models.flatMap(({ repo, revisions, unused }) => [
        ...revisions.map(({ commit, refs, files, bytes }, index) => [
          index === 0 ? repo : '',
          commit.slice(0, 10),
          refs.join(', ') || '-',
          `${files}`,
          formatBytes(bytes),
        ]),
        ...(unused.length > 0
          ? [
              [
                revisions.length === 0 ? repo : '',
                'unfinished or unused',
                '-',
                `${unused.length}`,
                formatBytes(unused.reduce((sum, { bytes }) => sum + bytes, 0)),
              ],
            ]
          : []),
      ]),
    },
    { head: style.bold, width: 80 },
  )
  return `${table}\n\n${formatBytes(total)} in ${cacheDir}; files that commits share are there once.`
}

interface PruneOptions {
  yes?: true
  json?: JsonOption
}

async function pruneCache(
  named: readonly string[],
  { yes, json }: PruneOptions,
  context: CommandContext,
): Promise<void> {
  const { terminal, config } = context
  const { planPrune, prune, scanCache } = await import('../checkpoints/hub-usage.ts')
  const { cacheDir } = config.hub
  const models = await scanCache(cacheDir)
  const repos = named.map((name) => name.replace(/^hub:/, ''))
  const absent = repos.find((repo) => !models.some((model) => model.repo === repo))
  if (absent !== undefined) {
    throw new AppError('NOT_FOUND', `${absent} is not in ${cacheDir}`, 'List what is there with: kvscope cache ls')
  }
  const plan = planPrune(models, repos)
  const empty = plan.models.length + plan.revisions.length + plan.blobs.length === 0
  const text = empty ? `Nothing in ${cacheDir} is to be removed.` : planText(plan)
  if (empty) return deliver(terminal, json, { ...plan, removed: false }, text)
  if (json !== true) terminal.print(text)
  const agreed = yes === true || (await confirm(context, 'Remove this? [y/N] '))
  if (agreed) await prune(plan)
  const outcome = agreed
    ? `Removed: ${formatBytes(plan.bytes)} are free again.`
    : 'Nothing was removed: say --yes to remove this.'
  await deliver(terminal, json, { ...plan, removed: agreed }, outcome)
}

function planText({ models, revisions, blobs, bytes }: PrunePlan): string {
  const unused = blobs.length === 1 ? '1 file' : `${blobs.length} files`
  return [
    ...models.map((model) => `${model.repo}: all of it, ${formatBytes(model.bytes)}`),
    ...revisions.map(({ repo, commit }) => `${repo} at ${commit.slice(0, 10)}: no branch or tag leads to it`),
    ...(blobs.length > 0 ? [`${unused} that nothing uses then, unfinished downloads among them`] : []),
    `${formatBytes(bytes)} in all`,
  ].join('\n')
}
