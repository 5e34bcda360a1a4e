import { Command } from 'commander'
import { addBenchCommand } from './bench.ts'
import { addCacheCommand } from './cache.ts'
import type { CommandContext } from './command.ts'
import { addCompareCommand, compareExitCodes } from './compare.ts'
import { addDemoCommand } from './demo.ts'
import { addExportCommand } from './export.ts'
import { addGenerateCommand } from './generate.ts'
import { addHeadsCommand } from './heads.ts'
import { addInspectCommand } from './inspect.ts'
import { addKvCommand } from './kv.ts'
import { addLectureCommand } from './lecture.ts'
import { addMigrateCommand } from './migrate.ts'
import { addReportCommand } from './report.ts'
import { addResetCommand } from './reset.ts'
import { addRunsCommand } from './runs.ts'
import { addServeCommand } from './serve.ts'
import { checkJsonFile, type JsonOption } from './terminal.ts'
import { addWorkerCommand } from './worker.ts'

/** See afterHelp. */
export const exitCodes = { fine: 0, failed: 1, usage: 2, interrupted: 130, terminated: 143 }

const description = `Shows what an attention layer shares between its heads, and what that costs and saves.

Start with "kvscope demo". Results go to stdout, progress and errors to stderr.`

const afterHelp = `
Exit codes: 0 fine, 1 failed, 2 wrong usage, 130 interrupted with Ctrl-C; 143 ended with SIGTERM,
but 0 where serve, worker or demo --serve ended in order. compare has codes of its own: see its --help.
Settings come from the environment: see the configuration table in README.md.`

/** All commands, ready to parse. Wrong usage throws CommanderError. */
export function createProgram(context: CommandContext): Command {
  const program = new Command('kvscope').description(description).addHelpText('after', afterHelp)
  program.hook('preAction', async (_program, command) => {
    const { json, quiet } = command.opts<{ json?: JsonOption; quiet?: true }>()
    if (quiet) context.terminal.beQuiet()
    await checkJsonFile(json)
  })
  program.exitOverride().showHelpAfterError('(see --help)').helpCommand(false)
  addDemoCommand(program, context)
  addServeCommand(program, context)
  addWorkerCommand(program, context)
  addMigrateCommand(program, context)
  addResetCommand(program, context)
  addBenchCommand(program, context)
  addHeadsCommand(program, context)
  addKvCommand(program, context)
  addInspectCommand(program, context)
  addGenerateCommand(program, context)
  addCacheCommand(program, context)
  addRunsCommand(program, context)
  addCompareCommand(program, context)
  addExportCommand(program, context)
  addReportCommand(program, context)
  addLectureCommand(program, context)
  return program
}

/** What a command that was given these arguments ends with where it fails or is used wrongly. */
export function failureCodes([command]: readonly string[]): { failed: number; usage: number } {
  return command === 'compare' ? compareExitCodes : exitCodes
}
