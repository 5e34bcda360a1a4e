import type { Command } from 'commander'
import { AppError } from '../errors.ts'
import { RunKindDocument } from '../generated/operations.ts'
import { type ReportBlock, type ReportRun, renderReport } from '../render/report.ts'
import { formatDecimalBytes } from '../render/units.ts'
import { fetchAttentionMapsRun } from './attention-run.ts'
import { fetchBenchmarkRun } from './benchmark-run.ts'
import type { ApiClient } from './client.ts'
import { type CommandContext, examples, wholeNumber, withJsonOption } from './command.ts'
import { findRunId, runArgument } from './find-run.ts'
import { writeOutFile } from './out-file.ts'
import { reportBenchmark } from './report-benchmark.ts'
import { reportAttention, reportWeights } from './report-heads.ts'
import { leadOf, noticesOf, provenanceOf, type ReportedRun } from './report-provenance.ts'
import { reportSweep } from './report-sweep.ts'
import { withApi } from './server.ts'
import { deliver, type JsonOption } from './terminal.ts'
import { fetchWeightSlicesRun } from './weight-run.ts'

interface Options {
  out: string
  pictures: number
  server?: string
  json?: JsonOption
}

/** `kvscope report`: runs as one page that opens from disk and prints. */
export function addReportCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('report')
    .argument('<RUN...>', runArgument)
    .description('write runs as one HTML file with pictures, tables and where they come from')
    .option('--out <FILE>', 'the file', 'report.html')
    .option('--pictures <N>', 'pictures of each sort of a run', wholeNumber(0, 1000), 24)
    .option('--server <URL>', 'the API to ask (default: the one of the data folder)')
    .addHelpText('after', examples('report latest', 'report latest~1 latest --out runs.html'))
    .action((runs: string[], options: Options) => report(runs, options, context))
  withJsonOption(command)
}

async function report(named: readonly string[], options: Options, context: CommandContext): Promise<void> {
  const runs = await withApi(context, options.server, async (client) => {
    const found: ReportRun[] = []
    for (const name of named) found.push(await reportRun(client, await findRunId(client, name), options.pictures))
    return found
  })
  const [only] = runs
  const title = runs.length === 1 && only !== undefined ? only.title : `${runs.length} runs of kvscope`
  const page = renderReport({ title, made: `kvscope report, ${new Date().toISOString()}`, runs })
  const bytes = await writeOutFile(options.out, [new TextEncoder().encode(page)])
  const result = { file: options.out, bytes, runs: runs.map(({ id }) => id) }
  await deliver(context.terminal, options.json, result, `${options.out}: ${formatDecimalBytes(bytes)}`)
}

async function reportRun(client: ApiClient, id: string, pictures: number): Promise<ReportRun> {
  const { run: found } = await client.request(RunKindDocument, { id })
  if (found === null) throw new AppError('NOT_FOUND', `No run has the id ${id}`, 'List the runs with: kvscope runs')
  switch (found.kind) {
    case 'BENCHMARK': {
      const run = await fetchBenchmarkRun(client, id)
      return compose(run, 'Benchmark', [...(await reportSweep(client, run)), ...reportBenchmark(run)])
    }
    case 'WEIGHT_SLICES': {
      const run = await fetchWeightSlicesRun(client, id)
      return compose(run, 'Weights of the heads', await reportWeights(client, run, pictures))
    }
    case 'ATTENTION_MAPS': {
      const run = await fetchAttentionMapsRun(client, id)
      return compose(run, 'Attention of the heads', await reportAttention(client, run, pictures))
    }
  }
}

function compose(run: ReportedRun, what: string, blocks: readonly ReportBlock[]): ReportRun {
  return {
    id: run.id,
    title: `${what}: ${run.subjects.map(({ name }) => name).join(', ')}`,
    lead: leadOf(run),
    notices: noticesOf(run),
    blocks: [...blocks, ...provenanceOf(run)],
  }
}
