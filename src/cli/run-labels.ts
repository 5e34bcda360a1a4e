import type { BenchmarkRun, Series, Subject } from './benchmark-run.ts'

/**
 * Short names of a run's subjects, unique and at most `width` columns wide: the attention kind with the number of K/V
 * heads where that tells them apart and all are variants of one model, else their own names.
 */
export function subjectLabels(subjects: readonly Subject[], width = 12): string[] {
  const kinds = subjects.map(({ model }) =>
    model.kvHeads === null ? model.attentionKind : `${model.attentionKind} ${model.kvHeads}`,
  )
  const base = subjects[0]?.name ?? ''
  const variants = subjects.length > 1 && subjects.every(({ name }) => name.startsWith(base))
  if (variants && new Set(kinds).size === kinds.length) return kinds
  const names = subjects.map(({ name }) =>
    [...name].length <= width ? name : `${[...name].slice(0, width - 1).join('')}…`,
  )
  return new Set(names).size === names.length ? names : subjects.map(({ index }) => `subject ${index}`)
}

/** What a series timed, in words: `decode at depth 512`. */
export function phaseLabel(
  series: Pick<Series, 'phase' | 'promptTokens' | 'generatedTokens' | 'depth' | 'batch'>,
): string {
  const tokens = `${series.promptTokens} token${series.promptTokens === 1 ? '' : 's'}`
  const batch = series.batch > 1 ? `, batch ${series.batch}` : ''
  const depth = series.depth > 0 ? ` at depth ${series.depth}` : ''
  switch (series.phase) {
    case 'LOAD':
      return 'load'
    case 'COLD':
      return `cold forward, ${tokens}`
    case 'FORWARD':
      return `warm forward, ${tokens}`
    case 'PREFILL':
      return `prefill ${series.promptTokens}${depth}${batch}`
    case 'DECODE':
      return `decode${depth}${batch}`
    case 'COMBINED':
      return `prefill ${series.promptTokens} + decode ${series.generatedTokens}${depth}${batch}`
  }
}

/** Milliseconds are told for one step of decode, and for the whole trial elsewhere: what a sample is divided by. */
export function stepsOf(series: Pick<Series, 'phase' | 'generatedTokens'>): number {
  return series.phase === 'DECODE' ? Math.max(1, series.generatedTokens) : 1
}

/** The series of a run by what they timed, in the order measured; in each group the subjects' order. */
export function groupSeries(run: Pick<BenchmarkRun, 'series'>): Series[][] {
  const order = ['LOAD', 'COLD', 'FORWARD', 'PREFILL', 'DECODE', 'COMBINED']
  const groups = new Map<string, Series[]>()
  for (const series of run.series) {
    const key = `${series.phase}/${series.test ?? ''}`
    groups.set(key, [...(groups.get(key) ?? []), series])
  }
  const size = (group: readonly Series[]) => (group[0] === undefined ? 0 : group[0].depth * 1e7 + group[0].promptTokens)
  return [...groups.values()]
    .map((group) => group.toSorted((a, b) => a.subject.index - b.subject.index))
    .sort((a, b) => order.indexOf(a[0]?.phase ?? '') - order.indexOf(b[0]?.phase ?? '') || size(a) - size(b))
}
