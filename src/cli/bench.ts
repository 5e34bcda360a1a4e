import { type Command, InvalidArgumentError } from 'commander'
import type { BenchmarkSpecInput } from '../jobs/spec.ts'
import { tableToCsv, tableToMarkdown } from '../render/table.ts'
import { type BenchmarkRun, fetchBenchmarkRun } from './benchmark-run.ts'
import { type CommandContext, examples, wholeNumber, wholeNumbers, withJsonOption } from './command.ts'
import { resultText } from './demo-text.ts'
import { runTable, syntheticNotice } from './run-report.ts'
import { withApi } from './server.ts'
import { deliver, type JsonOption, type Terminal, writeJson } from './terminal.ts'

const formats = ['text', 'md', 'csv', 'json'] as const
type Format = (typeof formats)[number]

export interface BenchOptions {
  promptTokens: number[]
  generatedTokens: number[]
  depth: number[]
  batch: number[]
  repetitions: number
  threads?: number
  output: Format
  kvHeads: number[]
  prompt?: string
  seed: number
  maxSeconds?: number
  json?: JsonOption
}

/** `kvscope bench`: models timed in this very process, in llama-bench's words, and stored like any other run. */
export function addBenchCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('bench')
    .argument('<MODEL...>', "folders of checkpoints, or presets' names for synthetic weights")
    .description('time models in this process, without API, queue or worker, and store the run')
    .option('-p, --prompt-tokens <LIST>', 'prompt sizes to process at once; 0: none', wholeNumbers(0), [512])
    .option(
      '-n, --generated-tokens <LIST>',
      'numbers of tokens to generate one by one; 0: none',
      wholeNumbers(0),
      [128],
    )
    .option('-d, --depth <LIST>', 'tokens in the cache beforehand', wholeNumbers(0), [0])
    .option('-b, --batch <LIST>', 'sequences side by side', wholeNumbers(1, 64), [1])
    .option('-r, --repetitions <N>', 'timed trials of each test', wholeNumber(1, 1000), 5)
    .option(
      '-t, --threads <N>',
      'threads inside one operator (default: one for each physical core)',
      wholeNumber(1, 256),
    )
    .option('-o, --output <FORMAT>', formats.join(', '), parseFormat, 'text')
    .option('--kv-heads <LIST>', 'each model also with its K/V heads pooled into so many', wholeNumbers(1), [])
    .option('--prompt <TEXT>', 'also time cold and warm forward passes of this text')
    .option('--seed <N>', 'seed of synthetic weights, tokens and order', wholeNumber(0, 0xffff_ffff), 0)
    .option('--max-seconds <N>', 'bound on the measuring of each test', wholeNumber(1, 86_400))
    .addHelpText(
      'after',
      examples(
        'bench gpt2 --kv-heads 4,1 -p 512 -n 16 -d 0,512',
        'bench models/gpt2 models/llama -p 0 -n 32 -o md',
        'bench gpt2-medium-4k -p 0 -n 8 -d 512,1024,2048 --kv-heads 1 -o csv',
      ),
    )
    .action((models: string[], options: BenchOptions) => bench(models, options, context))
  withJsonOption(command)
}

function parseFormat(text: string): Format {
  const found = formats.find((format) => format === text)
  if (found === undefined) throw new InvalidArgumentError(`${text} is none of ${formats.join(', ')}.`)
  return found
}

async function bench(models: readonly string[], options: BenchOptions, context: CommandContext): Promise<void> {
  const { config, terminal } = context
  const [{ runnableSource }, { openDatabaseServer }, { runAndStore }] = await Promise.all([
    import('./source.ts'),
    import('./database.ts'),
    import('./local-run.ts'),
  ])
  const named = await Promise.all(models.map((model) => runnableSource(model, options.seed)))
  const spec = planBench(
    named.map(({ source }) => source),
    options,
  )
  const modelRoots = [...config.modelRoots, ...named.flatMap(({ roots }) => roots)]
  const database = await openDatabaseServer(config)
  try {
    const runId = await runAndStore(
      spec,
      'kvscope bench',
      { ...context, config: { ...config, modelRoots } },
      database.url,
    )
    const run = await withApi(context, undefined, (client) => fetchBenchmarkRun(client, runId))
    await print(run, options, terminal)
  } finally {
    await database.stop()
  }
}

/** llama-bench's grid: every prompt size and every number of tokens, at every depth and batch. */
function planBench(
  sources: readonly BenchmarkSpecInput['subjects'][number]['source'][],
  options: Omit<BenchOptions, 'output' | 'json'>,
): BenchmarkSpecInput {
  const shared = { threads: options.threads ?? null }
  const sizes = [
    ...options.promptTokens.filter((size) => size > 0).map((promptTokens) => ({ promptTokens, generatedTokens: 0 })),
    ...options.generatedTokens
      .filter((size) => size > 0)
      .map((generatedTokens) => ({ promptTokens: 0, generatedTokens })),
  ]
  return {
    kind: 'BENCHMARK',
    version: 1,
    subjects: sources.flatMap((source) => [
      { source, ...shared },
      ...options.kvHeads.map((kvHeads) => ({ source, ...shared, convert: { kvHeads } })),
    ]),
    prompt: options.prompt ?? null,
    tests: options.batch.flatMap((batch) =>
      options.depth.flatMap((depth) => sizes.map((size) => ({ ...size, depth, batch }))),
    ),
    blocks: options.repetitions,
    maxSeconds: options.maxSeconds ?? null,
    seed: options.seed,
  }
}

async function print(run: BenchmarkRun, options: BenchOptions, terminal: Terminal): Promise<void> {
  if (options.output === 'text') return deliver(terminal, options.json, run, resultText(run, terminal.style))
  if (options.json !== true) {
    if (run.subjects.some((subject) => subject.synthetic)) terminal.note(syntheticNotice(run.subjects))
    if (options.output === 'csv') terminal.write(tableToCsv(runTable(run)))
    else if (options.output === 'md') terminal.print(tableToMarkdown(runTable(run)))
    else await writeJson(terminal, true, run)
  }
  await writeJson(terminal, options.json, run)
}
