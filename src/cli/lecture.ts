import { stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import { AppError } from '../errors.ts'
import type { ReportRun } from '../render/report.ts'
import { formatDecimalBytes } from '../render/units.ts'
import { type CommandContext, examples, withJsonOption, withQuietOption } from './command.ts'
import type { LectureOptions } from './lecture/lecture-plan.ts'
import { deliver, type JsonOption } from './terminal.ts'

interface Options extends LectureOptions {
  run?: true
  out?: string
  json?: JsonOption
}

/** `kvscope lecture`: the claims that kvscope started from, and with --run their experiment as it was and as it should be. */
export function addLectureCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('lecture')
    .description('the claims of the lecture, recomputed; with --run its experiment, as it was and as it should be')
    .option('--run', 'measure: one cold pass of each model as in the lecture, then warm, interleaved and at depth')
    .option('--small', 'with --run: tiny models of the same forms, for a weak machine')
    .option(
      '--gpt2 <MODEL>',
      'with --run: folder or hub:ORG/NAME of gpt2-medium (default: synthetic weights of its shape)',
    )
    .option(
      '--falcon <MODEL>',
      'with --run: folder or hub:ORG/NAME of falcon-rw-1b (default: synthetic weights of its shape)',
    )
    .option('--out <FILE>', 'with --run: the page (default: lecture.html)')
    .addHelpText(
      'after',
      examples('lecture', 'lecture --json claims.json', 'lecture --run --small --gpt2 models/gpt2 --out lecture.html'),
    )
    .action((options: Options) => {
      const { run, small, gpt2, falcon, out } = options
      if (run) return replay(options, context)
      const alone = Object.entries({ small, gpt2, falcon, out }).find(([, value]) => value !== undefined)
      if (alone !== undefined) command.error(`error: option --${alone[0]} goes with --run`)
      return audit(options.json, context)
    })
  withQuietOption(withJsonOption(command))
}

async function audit(json: JsonOption, { terminal }: CommandContext): Promise<void> {
  const [{ auditLecture }, { lectureReport, lectureRows }, { claimsText }] = await Promise.all([
    import('../architecture/lecture-claims.ts'),
    import('./lecture/cache-table.ts'),
    import('./lecture/claims-text.ts'),
  ])
  const claims = auditLecture()
  const text = `${claimsText(claims, terminal.style)}\n\n${lectureReport(terminal.style)}`
  await deliver(terminal, json, { claims, cache: lectureRows().flat() }, text)
}

/** The whole experiment through a service of its own, and the page that shows it. */
async function replay(options: Options, context: CommandContext): Promise<void> {
  const { config, terminal, signal } = context
  const file = options.out ?? 'lecture.html'
  await checkOutFile(file)
  const [
    { withOwnService },
    { lectureSubjects, planLecture },
    { replayLecture },
    { lecturePage },
    { lectureText, openingText },
    { auditLecture },
    { checkLectureNeeds, readContexts },
  ] = await Promise.all([
    import('./own-service.ts'),
    import('./lecture/lecture-plan.ts'),
    import('./lecture/replay.ts'),
    import('./lecture/lecture-page.ts'),
    import('./lecture/lecture-text.ts'),
    import('../architecture/lecture-claims.ts'),
    import('./lecture/lecture-needs.ts'),
  ])
  const [gpt2, falcon] = [await fetched(options.gpt2, context), await fetched(options.falcon, context)]
  const modelRoots = [gpt2, falcon].flatMap((model) => model?.folder ?? [])
  // What it takes is read in the folders; the service is asked by name, so that its runs say which models they are of.
  const here = { ...options, ...(gpt2 && { gpt2: gpt2.folder }), ...(falcon && { falcon: falcon.folder }) }
  const named = { ...options, ...(gpt2 && { gpt2: gpt2.pinned }), ...(falcon && { falcon: falcon.pinned }) }
  const contexts = await readContexts(lectureSubjects(here), [...config.modelRoots, ...modelRoots], config.hub)
  const plan = planLecture(named, contexts)
  const needs = await checkLectureNeeds(planLecture(here, contexts), config, modelRoots)
  terminal.note(openingText(plan, needs))
  signal.throwIfAborted()

  const claims = auditLecture()
  const { found, sections } = await withOwnService(context, { name: 'lecture', modelRoots }, async (client) => {
    const secret = config.tokens[0]?.secret
    const onProgress = (fraction: number, message: string) => terminal.progress(fraction, message)
    const found = await replayLecture(client, plan, { secret, signal, onProgress })
    terminal.progress(1, 'drawing the page')
    return { found, sections: await lecturePage(client, claims, found) }
  })
  const bytes = await writePage(file, sections)
  const text = `${lectureText(plan, found, terminal.style)}\n\n${file}: ${formatDecimalBytes(bytes)}, one page with the claims, the runs and the pictures`
  await deliver(terminal, options.json, { claims, ...found, page: { file, bytes } }, text)
}

/** A model that was named, in its folder; undefined: synthetic weights stand for it. */
async function fetched(model: string | undefined, context: CommandContext) {
  return model === undefined ? undefined : (await import('./source.ts')).fetchCheckpoint(model, context)
}

/** Sees that the page can be written before hours go into it. */
async function checkOutFile(file: string): Promise<void> {
  const [folder, found] = await Promise.all([
    stat(dirname(resolve(file))).catch(() => null),
    stat(file).catch(() => null),
  ])
  if (folder?.isDirectory() && !found?.isDirectory()) return
  throw new AppError(
    'VALIDATION_FAILED',
    `The file of --out, ${file}, cannot be written: ${found === null ? 'its folder is not there' : 'it is a folder'}`,
    'Name a file in a folder that is there.',
  )
}

async function writePage(file: string, runs: readonly ReportRun[]): Promise<number> {
  const [{ renderReport }, { writeOutFile }] = await Promise.all([
    import('../render/report.ts'),
    import('./out-file.ts'),
  ])
  const made = `kvscope lecture, ${new Date().toISOString()}`
  const page = renderReport({ title: 'The lecture on multi-query attention, measured again', made, runs })
  return writeOutFile(file, [new TextEncoder().encode(page)])
}
