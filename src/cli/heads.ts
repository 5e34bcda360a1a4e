import { readFile } from 'node:fs/promises'
import { type Command, InvalidArgumentError } from 'commander'
import { AppError } from '../errors.ts'
import { type Projection, projections } from '../heads/rows.ts'
import type { AttentionMapsSpecInput, RunSpecInput, WeightSlicesSpecInput } from '../jobs/spec.ts'
import {
  type CommandContext,
  collect,
  examples,
  wholeNumber,
  wholeNumbers,
  withJsonOption,
  withQuietOption,
} from './command.ts'
import type { ShownRun } from './show-run.ts'
import { deliver, type JsonOption } from './terminal.ts'

interface ModelOptions {
  kvHeads?: number
  seed: number
  threads?: number
  layers?: number[]
  heads?: number[]
  out?: string
  json?: JsonOption
}

export interface WeightOptions extends ModelOptions {
  projections: Projection[]
  rows: number
  columns?: number
  perHead?: true
}

export interface AttentionOptions extends ModelOptions {
  prompt?: string[]
  prompts?: string
  tokenIds?: number[]
  generate: number
  diversity: boolean
  baselines: boolean
}

const modelArgument = "folder of a checkpoint, hub:ORG/NAME[@REVISION], or a preset's name for synthetic weights"

/** `kvscope heads`: what the heads of a model are and where they look, read in this process's own run and stored. */
export function addHeadsCommand(program: Command, context: CommandContext): void {
  const heads = program.command('heads').description("the heads' weight matrices, and where heads look")
  addWeights(heads, context)
  addAttention(heads, context)
}

function addWeights(heads: Command, context: CommandContext): void {
  const command = withModelOptions(heads.command('weights'))
    .description("read the heads' weight matrices, show which heads share what, and store the run")
    .option(
      '--projections <LIST>',
      'which matrices: Q, K, V, O; of MLA Q, DKV, UK, UV, O, QUK (W_Q W_UKᵀ), UVO (W_UV W_O)',
      parseProjections,
      ['K', 'V'],
    )
    .option('--rows <N>', "rows of each slice, from the matrix's first", wholeNumber(1, 65_536), 50)
    .option('--columns <N>', "columns of each slice, from the matrix's first (default: all)", wholeNumber(1, 65_536))
    .option('--per-head', 'a shared matrix once a head, with its K/V head and the largest difference')
    .addHelpText(
      'after',
      examples(
        'heads weights models/gpt2 --kv-heads 2 --projections K --layers 0,1 --per-head --quiet',
        'heads weights models/gpt2 --rows 768 --out pictures',
      ),
    )
    .action((model: string, options: WeightOptions) => look(model, weightSpec(options), options, context))
  withJsonOption(withQuietOption(command))
}

function addAttention(heads: Command, context: CommandContext): void {
  const command = withModelOptions(heads.command('attention'))
    .description('record where heads look, how differently, and store the run')
    .option('--prompt <TEXT>', "a prompt (may be repeated; default: kvscope's own twelve)", collect)
    .option('--prompts <FILE>', 'prompts from a file: a JSON list of texts, or one a line')
    .option('--token-ids <LIST>', "one prompt as ids of the model's own vocabulary", wholeNumbers(0))
    .option('--generate <N>', 'tokens to generate after each prompt, recorded too', wholeNumber(0), 0)
    .option('--no-diversity', 'do not compare the heads')
    .option('--no-baselines', 'compare them without shuffled rows, random weights and position alone')
    .addHelpText(
      'after',
      examples(
        'heads attention models/gpt2',
        'heads attention models/gpt2 --prompt "the quick brown fox" --layers 0,1 --out pictures',
        'heads attention models/llama --prompts prompts.txt --no-baselines --json maps.json',
      ),
    )
    .action(async (model: string, options: AttentionOptions) =>
      look(model, await attentionSpec(options), options, context),
    )
  withJsonOption(withQuietOption(command))
}

function withModelOptions(command: Command): Command {
  return command
    .argument('<MODEL>', modelArgument)
    .option('--layers <LIST>', 'layers, from 0', wholeNumbers(0, 65_535))
    .option('--heads <LIST>', 'query heads, from 0 (default: all)', wholeNumbers(0, 65_535))
    .option('--kv-heads <N>', 'the model with its K/V heads pooled into so many', wholeNumber(1, 4096))
    .option('--seed <N>', 'seed of synthetic weights', wholeNumber(0, 0xffff_ffff), 0)
    .option(
      '-t, --threads <N>',
      'threads inside one operator (default: one for each physical core)',
      wholeNumber(1, 256),
    )
    .option('--out <DIR>', 'also write every head as SVG, PNG and NumPy file, and the grids')
}

function parseProjections(text: string): Projection[] {
  return text.split(',').map((part) => {
    const found = projections.find((projection) => projection === part.trim().toUpperCase())
    if (found === undefined) throw new InvalidArgumentError(`${part} is none of ${projections.join(', ')}.`)
    return found
  })
}

type WithoutSubjects<Spec> = Omit<Spec, 'subjects'>

function weightSpec({
  layers,
  heads,
  projections,
  rows,
  columns,
}: WeightOptions): WithoutSubjects<WeightSlicesSpecInput> {
  return {
    kind: 'WEIGHT_SLICES',
    version: 1,
    projections,
    rows,
    layers: layers ?? null,
    heads: heads ?? null,
    columns: columns ?? null,
  }
}

async function attentionSpec(options: AttentionOptions): Promise<WithoutSubjects<AttentionMapsSpecInput>> {
  const { layers, heads, tokenIds, generate, diversity, baselines } = options
  return {
    kind: 'ATTENTION_MAPS',
    version: 1,
    prompts: await readPrompts(options),
    tokenIds: tokenIds ?? null,
    layers: layers ?? null,
    heads: heads ?? null,
    generatedTokens: generate,
    diversity,
    baselines,
  }
}

async function readPrompts({ prompt = [], prompts }: AttentionOptions): Promise<string[] | null> {
  const given = prompts === undefined ? prompt : [...prompt, ...parsePrompts(await readText(prompts), prompts)]
  return given.length === 0 ? null : given
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new AppError('NOT_FOUND', `${file} cannot be read`, 'Name a file of prompts.', cause)
  }
}

/**
 * Prompts of a file: a JSON list of texts, so that a prompt may hold line breaks, or else its lines, empty ones left out.
 * @throws AppError VALIDATION_FAILED
 */
export function parsePrompts(text: string, file: string): string[] {
  const found = text.trimStart().startsWith('[')
    ? parseList(text)
    : text.split(/\r?\n/).filter((line) => line.trim() !== '')
  if (found !== null && found.length > 0) return found
  throw new AppError('VALIDATION_FAILED', `${file} holds no prompt`, 'Write one a line, or a JSON list of texts.')
}

function parseList(text: string): string[] | null {
  try {
    const list: unknown = JSON.parse(text)
    return Array.isArray(list) && list.every((one) => typeof one === 'string') ? list : null
  } catch {
    // A line that begins with a bracket.
    return text.split(/\r?\n/).filter((line) => line.trim() !== '')
  }
}

type HeadsSpec = WithoutSubjects<WeightSlicesSpecInput> | WithoutSubjects<AttentionMapsSpecInput>

/** Runs it, stores it, shows it and writes its files. */
async function look(
  model: string,
  spec: HeadsSpec,
  options: ModelOptions & { perHead?: true },
  context: CommandContext,
): Promise<void> {
  const { config, terminal } = context
  const [{ runnableSource }, { openDatabaseServer }, { runAndStore }, { withApi }, { showRun }, files] =
    await Promise.all([
      import('./source.ts'),
      import('./database.ts'),
      import('./local-run.ts'),
      import('./server.ts'),
      import('./show-run.ts'),
      import('./picture-files.ts'),
    ])
  if (options.out !== undefined) await files.makeFolder(options.out)
  const { source, roots } = await runnableSource(model, options.seed)
  const subject = {
    source,
    threads: options.threads ?? null,
    convert: options.kvHeads === undefined ? null : { kvHeads: options.kvHeads },
  }
  const input: RunSpecInput = { ...spec, subjects: [subject] }
  const database = await openDatabaseServer(config)
  try {
    const local = { ...context, config: { ...config, modelRoots: [...config.modelRoots, ...roots] } }
    const id = await runAndStore(input, 'kvscope heads', local, database.url)
    const shown = await withApi(context, undefined, async (client): Promise<ShownRun> => {
      if (options.out !== undefined) {
        const written = await files.saveRunFiles(client, id, options.out, options.perHead ?? false, terminal)
        terminal.note(`${written} files written to ${options.out}`)
      }
      const { json, perHead } = options
      return showRun(client, id, { screen: terminal, json, ...(perHead === undefined ? {} : { perHead }) })
    })
    await deliver(terminal, options.json, shown.json, shown.text)
  } finally {
    await database.stop()
  }
}
