import type { Command } from 'commander'
import { AppError } from '../errors.ts'
import type { StartBenchmarkInput } from '../generated/operations.ts'
import { devices, runtimes, weightDtypes } from '../jobs/glossary.ts'
import { type BenchmarkRun, fetchBenchmarkRun } from './benchmark-run.ts'
import { type BenchOptions, type OutputFormat, outputFormats, parseSweep } from './benchmarks/bench-options.ts'
import { planBench } from './benchmarks/bench-plan.ts'
import { benchText } from './benchmarks/bench-text.ts'
import { benchCsv, benchJson, benchJsonLines, benchMarkdown } from './benchmarks/llama-bench.ts'
import { numberList, promptAndGenerated } from './benchmarks/number-list.ts'
import {
  type CommandContext,
  collect,
  examples,
  labelOption,
  listOf,
  marginOption,
  oneOf,
  percentage,
  wholeNumber,
  withJsonOption,
  withQuietOption,
} from './command.ts'
import { syntheticNotice } from './run-report.ts'
import { requireSuccess } from './run-result.ts'
import { withApi } from './server.ts'
import { deliver, type JsonOption, type Terminal, writeJson } from './terminal.ts'

interface Options extends BenchOptions {
  output: OutputFormat
  json?: JsonOption
}

const tokens = 1_048_576

/** `kvscope bench`: models timed in this very process, in llama-bench's words, and stored like any other run. */
export function addBenchCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('bench')
    .argument('[MODEL...]', "folders of checkpoints, hub:ORG/NAME[@REVISION], or presets' names for synthetic weights")
    .description('time models against each other, say which is faster and how sure that is, and store the run')
    .option('-m, --model <MODEL>', 'one more model, as llama-bench names it (may be repeated)', collect)
    .option(
      '-p, --n-prompt <LIST>',
      'tokens of a prompt processed at once; 0: none (default: 512)',
      numberList(0, tokens),
    )
    .option('-n, --n-gen <LIST>', 'tokens generated one by one; 0: none (default: 128)', numberList(0, tokens))
    .option('--pg <PP,TG>', 'besides: a prompt and tokens after it in one trial, also -pg', promptAndGenerated(tokens))
    .option('-d, --n-depth <LIST>', 'tokens in the cache beforehand (default: 0)', numberList(0, tokens))
    .option('-b, --batch <LIST>', "sequences side by side (default: 1); not llama-bench's n_batch", numberList(1, 64))
    .option('-t, --threads <LIST>', 'threads inside one operator (default: one a physical core)', numberList(1, 256))
    .option(
      '-r, --repetitions <N>',
      'timed trials of each test (default: 5, or what the verdict takes)',
      wholeNumber(1, 1000),
    )
    .option('-o, --output <FORMAT>', outputFormats.join(', '), oneOf(outputFormats), 'text')
    .option('--kv-heads <LIST>', 'each model also with its K/V heads pooled into so many', numberList(1, 4096))
    .option('--prompt <TEXT>', 'also time cold and warm forward passes of this text')
    .option('--sweep <AXIS=LIST>', 'vary depth, prompt, batch, kv-heads or threads alone', parseSweep)
    .option('--target-precision <PERCENT>', 'go on until the interval of the ratio is +- so wide', percentage(0.01, 50))
    .option('--max-seconds <N>', 'bound on the measuring of each test', wholeNumber(1, 86_400))
    .addOption(marginOption())
    .option('--runtime <LIST>', `each model in ${runtimes.join(', ')} (default: KVSCOPE)`, listOf(runtimes))
    .option('--dtype <TYPE>', `weights as ${weightDtypes.join(', ')} (default: as stored)`, oneOf(weightDtypes))
    .option('--device <DEVICE>', `${devices.join(', ')} (default: CPU)`, oneOf(devices))
    .option('--order <ORDER>', 'of the models in a block: random, given', oneOf(['RANDOM', 'GIVEN'] as const))
    .option('--no-reload', 'load several models once, not anew for each block: quicker, and less to be trusted')
    .option('--no-warm-up', 'count the first trials too, cold as they are; also --no-warmup')
    .option('--seed <N>', 'seed of synthetic weights, tokens and order', wholeNumber(0, 2 ** 31 - 1), 0)
    .option('--label <KEY=VALUE>', 'a label to find the run by (may be repeated)', labelOption)
    .option('--note <TEXT>', 'a note beside the run')
    .option('--server <URL>', "have that server's worker time them; folders are those that it sees")
    .option('--host <NAME>', 'with --server: only a worker on that machine')
    .option('--worker <ID>', 'with --server: only that worker')
    .addHelpText(
      'after',
      `
A list is 512,1024 or a range: 512-2048, 512-2048+512, 512-2048*2. Lists make a grid; where one list
alone has three values or more, the run is a sweep along it, with a line fitted through its points.

Two or more models without -r and --target-precision are timed until their ratio is known to half
of --margin, for at most 5 minutes (more than five tests: 60 s each). md, csv, json and jsonl have
llama-bench's columns, then others: docs/benchmarks.md lists them. --json [FILE] gives the whole run
as stored.

Without --server everything happens in this process; Ctrl-C ends the run as CANCELED either way.
${examples(
  'bench models/gpt2 models/llama -p 0 -n 16 --max-seconds 1',
  'bench models/gpt2 --kv-heads 1 -p 0 -n 8 -d 0,32 -r 5',
  "bench models/gpt2 -p '16-64*2' -n 0 -r 5 -o md",
  "bench -m models/gpt2 -pg 32,8 -p 0 -n 0 -r 5 -o csv --label branch=main --note 'before the change'",
  'bench models/gpt2 models/gpt2 -p 0 -n 16 --target-precision 2 --max-seconds 1 --quiet --json run.json',
  'bench models/llama --sweep threads=1,2 -p 32 -n 0 -r 5 -o jsonl',
  'bench models/gpt2 -p 32 -n 8 -r 5 --server http://127.0.0.1:4000',
)}`,
    )
    .action((models: string[], options: Options) =>
      bench([...models, ...(options.model ?? [])], options, context, (message) => command.error(`error: ${message}`)),
    )
  withJsonOption(withQuietOption(command))
}

async function bench(
  models: readonly string[],
  options: Options,
  context: CommandContext,
  misuse: (message: string) => never,
): Promise<void> {
  if (models.length === 0) misuse('no model was named')
  if (options.server === undefined && (options.host !== undefined || options.worker !== undefined))
    misuse('--host and --worker say which worker of a server takes the run: add --server URL')
  if (options.host !== undefined && options.worker !== undefined) misuse('--host and --worker exclude each other')
  const run =
    options.server === undefined ? await timeHere(models, options, context) : await timeThere(models, options, context)
  await print(run, options, context.terminal)
}

async function timeHere(models: readonly string[], options: Options, context: CommandContext): Promise<BenchmarkRun> {
  const { config } = context
  const [{ parseSpec }, { runnableSource }, { openDatabaseServer }, { runAndStore }] = await Promise.all([
    import('../jobs/spec.ts'),
    import('./source.ts'),
    import('./database.ts'),
    import('./local-run.ts'),
  ])
  const named = await Promise.all(models.map((model) => runnableSource(model, options.seed)))
  // A spec's fields have the names of a server's input.
  const asked = planBench(
    named.map(({ source }) => source),
    options,
  )
  const spec = parseSpec({ kind: 'BENCHMARK', version: 1, ...asked })
  const modelRoots = [...config.modelRoots, ...named.flatMap(({ roots }) => roots)]
  const database = await openDatabaseServer(config)
  try {
    const local = { ...context, config: { ...config, modelRoots } }
    const runId = await runAndStore(spec, options.note ?? 'kvscope bench', local, database.url, options.label)
    return await withApi(context, undefined, (client) => fetchBenchmarkRun(client, runId, options.margin))
  } finally {
    await database.stop()
  }
}

async function timeThere(models: readonly string[], options: Options, context: CommandContext): Promise<BenchmarkRun> {
  const { terminal, signal, config } = context
  const [{ serverSource }, { submitAndFollow }] = await Promise.all([import('./source.ts'), import('./submit-run.ts')])
  const sources = await Promise.all(models.map((model) => serverSource(model, options.seed)))
  const { label, note } = options
  const input: StartBenchmarkInput = {
    ...planBench(sources, options),
    note: note ?? 'kvscope bench',
    ...(label === undefined ? {} : { labels: label }),
  }
  return withApi(context, options.server, async (client) => {
    const submitter = { secret: config.tokens[0]?.secret, signal }
    try {
      const runId = await submitAndFollow(client, { kind: 'BENCHMARK', input }, submitter, (event, fraction) => {
        const message = event.message ?? event.status?.toLowerCase()
        if (message !== undefined) terminal.progress(fraction, message)
      })
      const run = await fetchBenchmarkRun(client, runId, options.margin)
      if (run.status === 'CANCELED') {
        throw new AppError(
          'CONFLICT',
          `Run ${runId} was canceled by somebody else`,
          'See it with: kvscope runs show ID',
        )
      }
      requireSuccess(run)
      return run
    } finally {
      terminal.endProgress()
    }
  })
}

async function print(run: BenchmarkRun, options: Options, terminal: Terminal): Promise<void> {
  const { output, json, margin } = options
  if (output === 'text') return deliver(terminal, json, run, benchText(run, terminal.style, { margin }))
  if (json !== true) {
    if (run.subjects.some((subject) => subject.synthetic)) terminal.warn(syntheticNotice(run.subjects))
    if (output === 'csv') terminal.write(benchCsv(run))
    else if (output === 'jsonl') terminal.write(benchJsonLines(run))
    else if (output === 'md') terminal.print(benchMarkdown(run))
    else await writeJson(terminal, true, benchJson(run))
  }
  await writeJson(terminal, json, run)
}
