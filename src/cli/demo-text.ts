import type { Style } from '../render/style.ts'
import { wrap } from '../render/table.ts'
import { formatDecimalBytes } from '../render/units.ts'
import type { BenchmarkRun } from './benchmark-run.ts'
import { conclude } from './conclusions.ts'
import { runReport } from './run-report.ts'

export interface DemoNeeds {
  diskBytes: number
  memoryBytes: number
  availableMemoryBytes: number
  dataDir: string
  synthetic: boolean
}

/** What the demo is and what it takes, before anything starts. */
export function openingText(needs: DemoNeeds, style: Style): string {
  const what = needs.synthetic
    ? 'Three transformers that differ in nothing but their K/V heads, measured against each other through the real system: GraphQL, queue, worker process, onnxruntime, PostgreSQL.'
    : 'Your checkpoints, measured against each other through the real system: GraphQL, queue, worker process, onnxruntime, PostgreSQL.'
  return [
    style.bold('kvscope: what attention heads share, and what that costs and saves'),
    ...wrap(what, 80),
    '',
    `disk    ${formatDecimalBytes(needs.diskBytes)} more in ${needs.dataDir}`,
    `memory  ${formatDecimalBytes(needs.memoryBytes)} while it runs, of ${formatDecimalBytes(needs.availableMemoryBytes)} that are free`,
  ].join('\n')
}

/** The run, and what it shows and does not. */
export function resultText(run: BenchmarkRun, style: Style): string {
  return [
    runReport(run, style),
    '',
    style.bold('WHAT THIS SHOWS, AND WHAT NOT'),
    ...conclude(run).flatMap((sentence) => {
      const [first = '', ...rest] = wrap(sentence, 78)
      return [`· ${first}`, ...rest.map((line) => `  ${line}`)]
    }),
  ].join('\n')
}

/** What to type next. */
export function nextText(style: Style): string {
  const lines = [
    ['npm run demo -- --serve', 'keep it up: a playground'],
    ['npm run demo -- --model DIR', 'your own checkpoints'],
    ['npm run kvscope -- runs show latest', 'the last run; all are kept'],
    ['npm run kvscope -- heads attention DIR', 'where its heads look'],
    ['npm run kvscope -- heads weights gpt2', 'what its heads share'],
    ['npm run kvscope -- report latest', 'a run as one HTML file'],
    ['npm run kvscope -- export latest', 'a run as JSON, CSV or arrays'],
    ['npm run kvscope -- kv llama-3.1-8b -c 32768', "another model's cache"],
    ['npm run kvscope -- bench gpt2 --kv-heads 4', 'one more benchmark'],
    ['npm run kvscope -- --help', 'everything else'],
  ]
  const width = Math.max(...lines.map(([command = '']) => command.length))
  return [
    style.bold('NEXT'),
    ...lines.map(([command = '', what = '']) => `  ${style.accent(command.padEnd(width))}  ${style.dim(what)}`),
  ].join('\n')
}
