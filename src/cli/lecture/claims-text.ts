import type { LectureClaim } from '../../architecture/lecture-facts.ts'
import type { Style } from '../../render/style.ts'
import { wrap } from '../../render/table.ts'

const verdictWords = { HOLDS: 'holds', HOLDS_IF: 'holds if', FAILS: 'fails' } as const

/** A verdict in words. */
export function verdictText(verdict: LectureClaim['verdict']): string {
  return verdictWords[verdict]
}

/** `29 claims: 10 hold, 11 hold under an assumption, 8 fail`. */
export function claimsCount(claims: readonly LectureClaim[]): string {
  const count = (verdict: LectureClaim['verdict']) => claims.filter((claim) => claim.verdict === verdict).length
  return `${claims.length} claims: ${count('HOLDS')} hold, ${count('HOLDS_IF')} hold under an assumption, ${count('FAILS')} fail`
}

const verdictWidth = 10
const textWidth = 80 - verdictWidth

/** Every claim with its verdict before it, and under it the assumption, the figure and a way to see it; 80 columns. */
export function claimsText(claims: readonly LectureClaim[], style: Style): string {
  const paint = { HOLDS: style.good, HOLDS_IF: style.accent, FAILS: style.bad }
  const lines = (first: string, text: string, look: (line: string) => string) =>
    wrap(text, textWidth).map((line, index) => `${index === 0 ? first : ' '.repeat(verdictWidth)}${look(line)}`)
  const blank = ' '.repeat(verdictWidth)
  const plain = (line: string) => line
  return [
    style.bold("THE LECTURE'S CLAIMS, RECOMPUTED"),
    claimsCount(claims),
    ...claims.flatMap(({ claim, assumption, verdict, recomputed, seeItWith }) => [
      '',
      ...lines(
        paint[verdict](verdictText(verdict)) + blank.slice(verdictText(verdict).length),
        `"${claim}"`,
        style.bold,
      ),
      ...(assumption === null ? [] : lines(blank, `if ${assumption}`, style.accent)),
      ...lines(blank, recomputed, plain),
      ...lines(blank, `$ ${seeItWith}`, style.dim),
    ]),
  ].join('\n')
}
