import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Command, Option } from 'commander'
import { AppError } from '../errors.ts'
import { formatDecimalBytes } from '../render/units.ts'
import { type CommandContext, examples, withJsonOption } from './command.ts'
import { findRunId, runArgument } from './find-run.ts'
import { writeOutFile } from './out-file.ts'
import { withApi } from './server.ts'
import { deliver, type JsonOption } from './terminal.ts'

const formats = ['json', 'csv', 'npz', 'safetensors'] as const

interface Options {
  format: (typeof formats)[number]
  out?: string
  server?: string
  json?: JsonOption
}

/** `kvscope export`: all that a run has stored, as one file. */
export function addExportCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('export')
    .argument('<RUN>', runArgument)
    .description('write all that a run has stored as one file: docs/exports.md says what is in it')
    .addOption(new Option('--format <FORMAT>', 'form of the file').choices(formats).default('json'))
    .option('--out <FILE>', 'where to write it (default: stdout)')
    .option('--server <URL>', 'the API to ask (default: the one of the data folder)')
    .addHelpText(
      'after',
      examples(
        'export latest --format csv --out samples.csv',
        'export latest~1 --format npz --out run.npz',
        'export latest > run.json',
      ),
    )
    .action((run: string, options: Options) => exportRun(run, options, context))
  withJsonOption(command)
}

async function exportRun(run: string, { format, out, server, json }: Options, context: CommandContext): Promise<void> {
  if (out === undefined) refuseStdout(format, json)
  const written = await withApi(context, server, async (client) => {
    const runId = await findRunId(client, run)
    const pieces = await client.stream(`/runs/${encodeURIComponent(runId)}/export.${format}`)
    if (out !== undefined) return { runId, format, file: out, bytes: await writeOutFile(out, pieces) }
    await pipeline(Readable.from(pieces), process.stdout, { end: false })
    return null
  })
  if (written !== null) {
    await deliver(context.terminal, json, written, `${written.file}: ${formatDecimalBytes(written.bytes)} of ${format}`)
  }
}

/** @throws AppError VALIDATION_FAILED where the file and something else, or a person, would meet on stdout */
function refuseStdout(format: Options['format'], json: JsonOption): void {
  const binary = format === 'npz' || format === 'safetensors'
  if (json === undefined && !(binary && process.stdout.isTTY)) return
  const why = json === undefined ? `a .${format} file is nothing for a terminal` : '--json tells of the file of --out'
  throw new AppError('VALIDATION_FAILED', `${why}, and --out was not given`, 'Add --out FILE.')
}
