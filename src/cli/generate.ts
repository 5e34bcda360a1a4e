import type { Command } from 'commander'
import { type CommandContext, examples, wholeNumber, withJsonOption, withQuietOption } from './command.ts'
import { type JsonOption, writeJson } from './terminal.ts'

interface Options {
  model: string
  prompt: string
  tokens: number
  threads?: number
  ignoreEos?: true
  json?: JsonOption
}

/** `kvscope generate`: greedy text from a checkpoint, shown as it comes. */
export function addGenerateCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('generate')
    .description('continue a prompt greedily, streamed to stdout')
    .requiredOption(
      '--model <MODEL>',
      "a checkpoint's folder, hub:ORG/NAME[@REVISION], or a preset's name for synthetic weights",
    )
    .requiredOption('--prompt <TEXT>', 'text to continue')
    .option('-n, --tokens <N>', 'tokens to generate at most', wholeNumber(1), 64)
    .option(
      '-t, --threads <N>',
      'threads inside one operator (default: one for each physical core)',
      wholeNumber(1, 256),
    )
    .option('--ignore-eos', 'go on past the end of the text, for a fixed number of tokens')
    .addHelpText(
      'after',
      examples(
        'generate --model models/gpt2 --prompt "The quick brown fox"',
        'generate --model models/gpt2 --prompt Hello -n 200 --json',
        'generate --model hub:openai-community/gpt2@main --prompt Hello -n 8',
      ),
    )
    .action((options: Options) => generate(options, context))
  withJsonOption(withQuietOption(command))
}

async function generate(options: Options, { config, terminal, signal }: CommandContext): Promise<void> {
  const [
    { openSubject },
    { fetchedSource },
    { loadModel },
    { loadTokenizer },
    { readStopIds },
    { generateGreedy },
    { streamText },
  ] = await Promise.all([
    import('../bench/open-subject.ts'),
    import('./source.ts'),
    import('../models/runner.ts'),
    import('../models/tokenizer.ts'),
    import('../models/stop-ids.ts'),
    import('../models/generate.ts'),
    import('../models/text-stream.ts'),
  ])
  const { source, roots } = await fetchedSource(options.model, { config, terminal, signal })
  const subject = {
    source,
    name: null,
    convert: null,
    dtype: null,
    runtime: 'KVSCOPE',
    device: 'CPU',
    threads: null,
  } as const
  const opened = await openSubject(subject, { dataDir: config.dataDir, modelRoots: roots }, (fraction) =>
    terminal.progress(fraction, 'writing synthetic weights'),
  )
  terminal.endProgress()
  if (opened.checkpoint.synthetic) terminal.warn('SYNTHETIC WEIGHTS: drawn from a seed; the text means nothing.')
  signal.throwIfAborted()
  const tokenizer = await loadTokenizer(opened.checkpoint, opened.config)
  const stopIds = options.ignoreEos ? new Set<number>() : await readStopIds(opened.checkpoint)
  const model = await loadModel(opened.checkpoint, opened.config, { provider: 'cpu', threads: options.threads ?? null })
  try {
    const prompt = tokenizer.encode(options.prompt)
    const stream = streamText(tokenizer, prompt)
    const silent = options.json === true
    const tokens: number[] = []
    let text = ''
    const show = (piece: string) => {
      text += piece
      if (!silent) terminal.write(piece)
    }
    if (!silent) terminal.write(options.prompt)
    for await (const token of generateGreedy(model, prompt, options.tokens, stopIds)) {
      tokens.push(token)
      show(stream.push(token))
      // The runtime blocks the event loop: Ctrl-C is heard here.
      await new Promise((resolve) => setImmediate(resolve))
      signal.throwIfAborted()
    }
    show(stream.end())
    if (!silent) terminal.write('\n')
    await writeJson(terminal, options.json, {
      model: opened.config.name,
      synthetic: opened.checkpoint.synthetic,
      prompt: options.prompt,
      promptTokens: prompt,
      tokens,
      text,
    })
  } finally {
    await model.close()
  }
}
