import type { Command } from 'commander'
import { AppError } from '../errors.ts'
import { CompareRunsDocument, type CompareRunsQuery, type Metric } from '../generated/operations.ts'
import { githubBenchmarks } from './benchmarks/comparison-github.ts'
import { comparisonMarkdown } from './benchmarks/comparison-markdown.ts'
import { type Condition, conditionOption, type Judgement, judge, type Outcome, worst } from './benchmarks/fail-if.ts'
import { judgementLines } from './benchmarks/judgement-text.ts'
import { type CommandContext, examples, marginOption, oneOf, withJsonOption } from './command.ts'
import { comparisonText } from './comparison-text.ts'
import { findRunId, findRunIds, runArgument } from './find-run.ts'
import { withApi } from './server.ts'
import { deliver, type JsonOption, writeJson } from './terminal.ts'

type Comparison = CompareRunsQuery['compareRuns']

const formats = ['text', 'md', 'json', 'github'] as const
const metrics = {
  time: 'TIME',
  tokens: 'TOKENS_PER_SECOND',
  kv: 'KV_CACHE_BYTES',
  memory: 'PEAK_MEMORY_BYTES',
} as const

interface Options {
  baseline?: string
  failIf?: Condition[]
  metric: keyof typeof metrics
  margin: number
  output: (typeof formats)[number]
  force?: true
  server?: string
  json?: JsonOption
}

/**
 * What `kvscope compare` ends with. Unlike every other command it has 1 and 2 for what a comparison can say, so that a
 * failure is 3 and wrong usage 64, EX_USAGE of sysexits.h.
 */
export const compareExitCodes = { fine: 0, worse: 1, unknown: 2, failed: 3, usage: 64 } as const

const exitHelp = `
Exit codes of compare: 0 fine, 1 worse than a --fail-if allows, 2 cannot tell, 3 failed, 64 wrong usage;
without --fail-if 0, whatever the verdicts.

--fail-if '[SUBJECT] PHASE-OR-TEST slower|faster N%' or '[SUBJECT] memory|kv larger|smaller N%'. Phases
are load, cold, forward, prefill, decode, combined; tests are pp512, tg128, 'tg128 @ d512'. A time is
worse where the whole interval of its ratio lies beyond N %, fine where none of it does; else, and
where runs are not comparable, nobody can tell. Bytes have no spread: their ratio decides.

-o md is for a pull request, -o github for github-action-benchmark: customSmallerIsBetter, or with
--metric tokens customBiggerIsBetter.
`

/** `kvscope compare`: one run against another of its kind. */
export function addCompareCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('compare')
    .argument('[RUN...]', `the run to compare with, then the runs that are compared: ${runArgument}`)
    .description('compare runs of one kind: times, weight matrices or the diversity of heads, with intervals')
    .option('--baseline <NAME>', 'compare with the run of this name, which is then no argument (default RUN: latest)')
    .option('--fail-if <CONDITION>', 'what counts as worse (may be repeated)', conditionOption)
    .option(
      '--metric <METRIC>',
      'time, tokens (a second), kv, memory',
      oneOf(['time', 'tokens', 'kv', 'memory'] as const),
      'time',
    )
    .addOption(marginOption())
    .option('-o, --output <FORMAT>', formats.join(', '), oneOf(formats), 'text')
    .option('--force', 'give ratios of times even where they are not comparable')
    .option('--server <URL>', 'the API to ask (default: the one of the data folder)')
    .addHelpText(
      'after',
      exitHelp +
        examples(
          'compare latest~1 latest',
          'compare latest~1 latest --metric tokens --margin 5 --json',
          "compare --baseline main --fail-if 'decode slower 5%' --fail-if 'kv larger 0%'",
          'compare --baseline main latest -o md > comment.md',
          'compare --baseline main latest -o github > benchmarks.json',
        ),
    )
    .action((runs: string[], options: Options) => {
      const few = options.baseline === undefined && runs.length < 2
      if (few) command.error('error: name a run to compare with and one that is compared, or --baseline NAME')
      return compare(runs, options, context)
    })
  withJsonOption(command)
}

async function compare(runs: readonly string[], options: Options, context: CommandContext): Promise<void> {
  const { comparison, judgements } = await withApi(context, options.server, async (client) => {
    const named = options.baseline === undefined ? runs : runs.length === 0 ? ['latest'] : runs
    const [first = '', ...others] = named
    const baseline =
      options.baseline === undefined ? { runId: await findRunId(client, first) } : { name: options.baseline }
    const candidates = await findRunIds(client, options.baseline === undefined ? others : named)
    const ask = (metric: Metric) => {
      const input = { baseline, candidates, metric, margin: options.margin, force: options.force ?? false }
      return client.request(CompareRunsDocument, { input }).then(({ compareRuns }) => compareRuns)
    }
    const comparison = await ask(metrics[options.metric])
    return { comparison, judgements: await judgeAll(options, comparison, ask) }
  })
  await print(comparison, judgements, options, context)
  if (judgements.length > 0) context.endWith(compareExitCodes[worst(judgements)])
}

/** Each condition over the comparison of its own metric, which is asked for once. */
async function judgeAll(
  { failIf = [], metric }: Options,
  comparison: Comparison,
  ask: (metric: Metric) => Promise<Comparison>,
): Promise<Judgement[]> {
  const asked = new Map<Metric, Comparison>([[metrics[metric], comparison]])
  const judgements: Judgement[] = []
  for (const condition of failIf) {
    const of = asked.get(condition.metric) ?? (await ask(condition.metric))
    asked.set(condition.metric, of)
    judgements.push(judge(condition, benchmarksOf(of, '--fail-if').rows))
  }
  return judgements
}

/** @throws AppError VALIDATION_FAILED where the runs time nothing */
function benchmarksOf(
  comparison: Comparison,
  option: string,
): Extract<Comparison, { __typename: 'BenchmarkComparison' }> {
  if (comparison.__typename === 'BenchmarkComparison') return comparison
  throw new AppError(
    'VALIDATION_FAILED',
    `${option} is about times, and these runs are no benchmarks`,
    `Leave ${option} out.`,
  )
}

async function print(
  comparison: Comparison,
  judgements: readonly Judgement[],
  options: Options,
  { terminal }: CommandContext,
): Promise<void> {
  const { output, json, failIf } = options
  const metric = metrics[options.metric]
  const outcome: Outcome | null = failIf === undefined ? null : worst(judgements)
  const whole = failIf === undefined ? comparison : { ...comparison, outcome, conditions: judgements }
  if (output === 'text') {
    const text = [comparisonText(comparison, terminal.style, metric), ...judgementLines(judgements, terminal.style)]
    return deliver(terminal, json, whole, text.join('\n'))
  }
  if (json !== true) {
    if (output === 'json') await writeJson(terminal, true, whole)
    else {
      const benchmarks = benchmarksOf(comparison, `-o ${output}`)
      if (output === 'github') await writeJson(terminal, true, githubBenchmarks(benchmarks, metric))
      else
        terminal.print(comparisonMarkdown(benchmarks, { metric, baselineName: options.baseline ?? null, judgements }))
    }
  }
  await writeJson(terminal, json, whole)
}
