import { join } from 'node:path'
import type { Command } from 'commander'
import type { Config } from '../config.ts'
import { AppError } from '../errors.ts'
import { ModelContextDocument, type StartBenchmarkInput } from '../generated/operations.ts'
import { type BenchmarkRun, fetchBenchmarkRun } from './benchmark-run.ts'
import type { ApiClient } from './client.ts'
import { type CommandContext, collect, examples, withJsonOption, withQuietOption } from './command.ts'
import { lookAtHeads } from './demo-heads.ts'
import { headsText } from './demo-heads-text.ts'
import { type DemoOptions, planDemo } from './demo-plan.ts'
import { nextText, openingText, resultText } from './demo-text.ts'
import { lectureReport } from './lecture/cache-table.ts'
import { withOwnService } from './own-service.ts'
import { subjectLabels } from './run-labels.ts'
import { requireSuccess } from './run-result.ts'
import { untilAborted } from './serve.ts'
import { fetchCheckpoint } from './source.ts'
import { submitAndFollow } from './submit-run.ts'
import { deliver, type JsonOption } from './terminal.ts'

interface Options extends DemoOptions {
  serve?: true
  json?: JsonOption
}

/**
 * `kvscope demo`: from nothing to a stored, queried benchmark of MHA, GQA and MQA and a look at their heads, with the whole
 * service in between.
 */
export function addDemoCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('demo')
    .description('measure MHA, GQA and MQA against each other through the whole service, and look at their heads')
    .option('--small', "gpt2's shape instead of gpt2-medium's, for a weak machine")
    .option('--quick', 'fewer blocks and smaller sizes')
    .option('--model <MODEL>', 'measure this folder or hub:ORG/NAME[@REVISION] instead (may be repeated)', collect)
    .option('--serve', 'keep everything up when done')
    .addHelpText('after', examples('demo --quick --model models/gpt2 --model models/llama --json run.json'))
    .action((options: Options) => demo(context, options))
  withJsonOption(withQuietOption(command))
}

/** What PostgreSQL and logs may take besides the weights. */
const databaseBytes = 150e6
/** Pictures, and maps in the database. */
const picturesBytes = 40e6
/** API, worker and PostgreSQL beside the process that runs the models. */
const servicesBytes = 450e6
/** What the second part takes beside one model's weights: maps on their way, and the API's thread that draws. */
const headsBytes = 500e6

async function demo(context: CommandContext, asked: Options): Promise<void> {
  const { terminal, signal } = context
  const models = await fetchModels(asked, context)
  const options: Options = { ...asked, model: models.map(({ pinned }) => pinned) }
  const here: Options = { ...asked, model: models.map(({ folder }) => folder) }
  const config = { ...context.config, modelRoots: [...context.config.modelRoots, ...(here.model ?? [])] }
  const { style } = terminal
  // With --json alone, stdout is the reader's of the JSON.
  const say = options.json === true ? terminal.note : terminal.print
  say(`${openingText(await checkNeeds(config, here), style)}\n`)
  if (options.json !== true) say(`${lectureReport(style)}\n`)
  signal.throwIfAborted()

  await withOwnService({ ...context, config }, { name: 'demo', modelRoots: [] }, async (client) => {
    const run = await measure(client, options, context)
    terminal.endProgress()
    await deliver(terminal, options.json, run, resultText(run, style))
    say(`\n${await look(client, run, options, { ...context, config })}\n\n${nextText(style)}`)
    if (!options.serve) return
    say(
      `\nServing ${style.accent(`${client.address}/graphql`)}: open it in a browser for the playground. Ctrl-C stops it.`,
    )
    await untilAborted(signal)
  })
}

/** The models named, in their folders, which may be read for this run. */
async function fetchModels({ model = [] }: DemoOptions, context: CommandContext) {
  const models: { folder: string; pinned: string }[] = []
  for (const named of model) models.push(await fetchCheckpoint(named, context))
  return models
}

/**
 * What it will take, from configs alone, before anything starts.
 * @throws AppError OUT_OF_DISK, OUT_OF_MEMORY, or what is wrong with a checkpoint
 */
async function checkNeeds(config: Config, options: Options) {
  const [{ estimateResources }, { availableMemory }, { ensureDiskSpace }, { benchmarkSpec }, { presentWeightBytes }] =
    await Promise.all([
      import('../bench/estimate.ts'),
      import('../bench/memory.ts'),
      import('../checkpoints/disk-space.ts'),
      import('../jobs/spec.ts'),
      import('./present-weights.ts'),
    ])
  const { subjects, tests, prompt } = planDemo(options, 1024)
  const spec = benchmarkSpec.parse({ kind: 'BENCHMARK', version: 1, subjects, tests, prompt })
  const estimate = await estimateResources(spec, config.modelRoots)
  const present = await presentWeightBytes(spec.subjects, config.dataDir)
  const diskBytes = Math.max(0, estimate.diskBytes - present) + databaseBytes + picturesBytes
  const largest = Math.max(...estimate.subjects.map(({ weights }) => weights))
  const available = availableMemory()
  const needed = (benchmark: number) => Math.max(benchmark, largest + headsBytes) + servicesBytes
  // Each block loads the models in turn, beside the filled caches of all where those fit.
  const kept = needed(estimate.inTurnKeptBytes)
  const memoryBytes = kept <= available.bytes ? kept : needed(estimate.inTurnBytes)
  await ensureDiskSpace(config.dataDir, diskBytes)
  if (memoryBytes > available.bytes) {
    const gb = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`
    throw new AppError(
      'OUT_OF_MEMORY',
      `The demo takes about ${gb(memoryBytes)} of memory, and ${gb(available.bytes)} are left by the ${available.bound}`,
      'Take --small, or free some memory.',
    )
  }
  const synthetic = (options.model ?? []).length === 0
  return { diskBytes, memoryBytes, availableMemoryBytes: available.bytes, dataDir: config.dataDir, synthetic }
}

/** Submits, follows and reads the run as any client would; an interrupted one is cancelled, not left to the next start. */
async function measure(
  client: ApiClient,
  options: Options,
  { config, terminal, signal }: CommandContext,
): Promise<BenchmarkRun> {
  const input = planDemo(options, await shortestContext(client, options))
  const id = await submitAndFollow(
    client,
    { kind: 'BENCHMARK', input },
    { secret: config.tokens[0]?.secret, signal },
    (event, fraction) => {
      terminal.progress(fraction, event.message ?? (event.status ?? '').toLowerCase())
    },
  )
  const run = await fetchBenchmarkRun(client, id)
  requireSuccess(run)
  return run
}

/** The second part: K and V matrices of each model, and where its last layer looks, as text for this terminal. */
async function look(
  client: ApiClient,
  run: BenchmarkRun,
  options: Options,
  { config, terminal, signal }: CommandContext,
): Promise<string> {
  const labels = subjectLabels(run.subjects)
  const subjects = planDemo(options, 1024).subjects.flatMap((input, index) => {
    const [opened, label] = [run.subjects[index], labels[index]]
    return opened === undefined || label === undefined ? [] : [{ input, opened, label }]
  })
  const folder = join(config.dataDir, 'demo')
  const { looked, pictures } = await lookAtHeads(client, subjects, {
    ...{ secret: config.tokens[0]?.secret, signal, folder, quick: options.quick === true },
    onProgress: (fraction, message) => terminal.progress(fraction, message),
  })
  terminal.endProgress()
  return headsText(looked, { folder, names: pictures }, terminal)
}

async function shortestContext(client: ApiClient, options: Options): Promise<number> {
  const sources: StartBenchmarkInput['subjects'][number]['source'][] = planDemo(options, 1024).subjects.map(
    ({ source }) => source,
  )
  const models = await Promise.all(sources.map((source) => client.request(ModelContextDocument, { source })))
  return Math.min(...models.map(({ model }) => model.contextLength))
}
