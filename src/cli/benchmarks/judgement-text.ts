import type { Style } from '../../render/style.ts'
import { wrap } from '../../render/table.ts'
import type { Judgement, Outcome } from './fail-if.ts'

const words: Record<Outcome, string> = { fine: 'fine', worse: 'WORSE', unknown: 'CANNOT TELL' }

/** What became of every condition, in at most 80 columns: what it rests on where it is not fine. */
export function judgementLines(judgements: readonly Judgement[], style: Style): string[] {
  if (judgements.length === 0) return []
  const paint: Record<Outcome, (text: string) => string> = { fine: style.good, worse: style.bad, unknown: style.warn }
  return [
    '',
    style.bold('FAIL IF'),
    ...judgements.flatMap(({ condition, outcome, because }) => [
      `${condition}: ${paint[outcome](words[outcome])}`,
      ...(outcome === 'fine' ? [] : because.flatMap((reason) => wrap(reason, 78).map((line) => `  ${line}`))),
    ]),
  ]
}
