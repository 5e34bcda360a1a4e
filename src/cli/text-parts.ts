import type { Style } from '../render/style.ts'
import { wrap } from '../render/table.ts'

/** Sentences as a list, in at most 80 columns. */
export function sentenceList(sentences: readonly string[]): string[] {
  return sentences.flatMap((sentence) => {
    const [first = '', ...rest] = wrap(sentence, 78)
    return [`· ${first}`, ...rest.map((line) => `  ${line}`)]
  })
}

/** Warnings with what to do about them, in at most 80 columns; those of one code once. */
export function warningList(
  warnings: readonly { code: string; message: string; advice: string }[],
  style: Style,
): string[] {
  const ofCode = new Map(warnings.map((warning) => [warning.code, warning]))
  return [...ofCode.values()].flatMap(({ message, advice }) => {
    const [first = '', ...rest] = wrap(`${message}. ${advice}`, 78)
    return [`${style.warn('!')} ${first}`, ...rest.map((line) => `  ${line}`)]
  })
}

/** What a title says of weights that are made from a seed. */
export function syntheticMark({ synthetic }: { synthetic: boolean }): string {
  return synthetic ? ': SYNTHETIC WEIGHTS' : ''
}

interface HeadedRun {
  id: string
  status: string
  queuedAt: string
  startedAt: string | null
  placement: { hostname: string | null; workerId: string | null } | null
  error: { code: string; message: string; hint: string | null } | null
}

/** The line that says who must take the run; none where anybody may. */
export function placementLines({ placement }: Pick<HeadedRun, 'placement'>): string[] {
  if (placement === null) return []
  return [`placed on ${placement.hostname === null ? `worker ${placement.workerId}` : `host ${placement.hostname}`}`]
}

/** Which run this is, when it ran, and what failed. */
export function runHeading(run: HeadedRun, style: Style): string[] {
  return [
    style.bold(`RUN ${run.id}`),
    `${run.status}${run.error === null ? '' : ` ${run.error.code}`}, ${run.startedAt ?? run.queuedAt}`,
    ...placementLines(run),
    ...(run.error === null ? [] : [style.bad(run.error.message), ...(run.error.hint === null ? [] : [run.error.hint])]),
  ]
}
