import { type Command, InvalidArgumentError } from 'commander'
import { byteCount, type CommandContext, examples, wholeNumber, withJsonOption } from './command.ts'
import { kvText } from './kv-text.ts'
import { deliver, type JsonOption } from './terminal.ts'

const dtypes = ['F32', 'F16', 'BF16', 'FP8', 'INT8', 'INT4'] as const
type Dtype = (typeof dtypes)[number]

function parseDtype(text: string): Dtype {
  const found = dtypes.find((dtype) => dtype === text.toUpperCase())
  if (found === undefined) throw new InvalidArgumentError(`${text} is none of ${dtypes.join(', ')}.`)
  return found
}

interface Options {
  context?: number
  batch: number
  dtype: Dtype
  tensorParallel: number
  memory?: number
  json?: JsonOption
}

/** `kvscope kv`: the size of a KV cache as a product that can be checked by hand. */
export function addKvCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('kv')
    .argument('<MODEL>', "a preset's name, a checkpoint's folder, hub:ORG/NAME[@REVISION] or a config.json")
    .description('size of the KV cache, with every factor, and of the same model with its heads shared otherwise')
    .option('-c, --context <N>', "tokens of each sequence (default: the model's context)", wholeNumber(1))
    .option('-b, --batch <N>', 'sequences', wholeNumber(1), 1)
    .option('--dtype <TYPE>', `element type of the cache: ${dtypes.join(', ')}`, parseDtype, 'F16')
    .option('--tensor-parallel <N>', 'devices that share the heads', wholeNumber(1), 1)
    .option(
      '--memory <SIZE>',
      'memory of one device, such as 24GB: how many sequences fit beside the weights',
      byteCount,
    )
    .addHelpText(
      'after',
      examples(
        'kv gpt3-175b --context 1024',
        'kv deepseek-v3 --context 100000 --batch 8',
        'kv llama-3.1-8b --context 32768 --memory 80GiB --tensor-parallel 2',
        'kv models/gpt2/config.json --context 256',
      ),
    )
    .action((model: string, options: Options) => showKvCache(model, options, context))
  withJsonOption(command)
}

async function showKvCache(
  model: string,
  options: Options,
  { terminal, config: settings }: CommandContext,
): Promise<void> {
  const [{ kvCacheReport }, { readCachedModel }, { anySource }] = await Promise.all([
    import('../architecture/kv-bytes.ts'),
    import('../jobs/model-source.ts'),
    import('./source.ts'),
  ])
  const { source, roots } = await anySource(model)
  const { config, weightBytes } = await readCachedModel(source, roots, settings.hub)
  const { context: contextLength = config.contextLength, batch, dtype, tensorParallel, memory } = options
  const sizes = { contextLength, batch, dtype, tensorParallel }
  const report = kvCacheReport(config, { ...sizes, memoryBytes: memory ?? null, weightBytes })
  const asked = { contextLength, batch, tensorParallel, ...(memory === undefined ? {} : { memory }) }
  await deliver(terminal, options.json, report, kvText(config, report, asked, terminal.style))
}
