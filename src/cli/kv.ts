import { type Command, InvalidArgumentError } from 'commander'
import type { KvCacheReport } from '../architecture/kv-bytes.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import type { Style } from '../render/style.ts'
import { tableToText } from '../render/table.ts'
import { formatBytes, formatInteger, formatRatio } from '../render/units.ts'
import { byteCount, type CommandContext, examples, wholeNumber, withJsonOption } from './command.ts'
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
    .argument('<MODEL>', "a preset's name, a checkpoint's folder or a config.json")
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

async function showKvCache(model: string, options: Options, { terminal }: CommandContext): Promise<void> {
  const [{ kvCacheReport }, { readSource }, { anySource }, { detectAttention }] = await Promise.all([
    import('../architecture/kv-bytes.ts'),
    import('../jobs/model-source.ts'),
    import('./source.ts'),
    import('../architecture/detect-attention.ts'),
  ])
  const { source, roots } = await anySource(model)
  const { config: stated, shapes } = await readSource(source, roots)
  // Where weights are there, their shapes are believed.
  const { config } = detectAttention(stated, shapes)
  const contextLength = options.context ?? config.contextLength
  const { batch, dtype, tensorParallel, memory } = options
  const report = kvCacheReport(config, { contextLength, batch, dtype, tensorParallel, memoryBytes: memory ?? null })
  await deliver(terminal, options.json, report, kvText(config, report, options, terminal.style))
}

function kvText(config: ModelConfig, report: KvCacheReport, options: Options, style: Style): string {
  const values = report.factors.map((factor) =>
    Number.isInteger(factor.value) ? formatInteger(factor.value) : `${factor.value}`,
  )
  const devices = options.tensorParallel > 1 ? ` over ${options.tensorParallel} devices` : ''
  const lines = [
    `${style.bold(config.name)}  ${report.kind}, ${config.layers} layers, ${config.heads} query heads`,
    '',
    tableToText(
      {
        columns: [{ title: 'factor' }, { title: 'value', align: 'right' }],
        rows: report.factors.map((factor, index) => [factor.name, values[index] ?? '']),
      },
      { head: style.bold, width: 80 },
    ),
    '',
    `${values.join(' x ')} = ${formatInteger(report.bytes)} bytes`,
    style.accent(`${formatBytes(report.bytes)}${devices}`),
    `${formatInteger(report.bytesPerToken)} bytes for each token of each sequence`,
  ]
  if (options.tensorParallel > 1) lines.push(`${formatBytes(report.bytesPerDevice)} on the device that keeps most`)
  if (report.sequencesThatFit !== null && options.memory !== undefined) {
    lines.push(
      `${formatInteger(report.sequencesThatFit)} sequences fit a device of ${formatBytes(options.memory)} beside ${formatBytes(report.weightBytes / options.tensorParallel)} of weights`,
    )
  }
  return [
    ...lines,
    '',
    tableToText(
      {
        columns: [
          { title: 'the same model as' },
          { title: 'bytes', align: 'right' },
          { title: 'times its own', align: 'right' },
        ],
        rows: report.asKinds.map((as) => [as.label, formatBytes(as.bytes), formatRatio(as.ratio, null)]),
      },
      { head: style.bold, width: 80 },
    ),
  ].join('\n')
}
