import { paintHeads } from '../render/half-blocks.ts'
import { wrap } from '../render/table.ts'
import { visibleText } from '../render/text.ts'
import { formatInteger } from '../render/units.ts'
import type { AttentionMapsRun, LayerMaps, Overview, PromptTokens } from './attention-run.ts'
import type { Subject } from './benchmark-run.ts'
import { behaviourTable, concludeDiversity, diversityTable } from './diversity-text.ts'
import { headSubject } from './head-subject.ts'
import type { Screen } from './terminal.ts'
import { runHeading, sentenceList, syntheticMark, warningList } from './text-parts.ts'

/** The maps of one layer over one prompt, to be painted. */
export interface PaintedMaps extends LayerMaps {
  overview: Overview
}

export interface AttentionReport {
  run: AttentionMapsRun
  painted: readonly PaintedMaps[]
}

/** A run on attention for people: where each head looks, how differently, and what that says and does not. */
export function attentionReport({ run, painted }: AttentionReport, screen: Screen): string {
  const { style } = screen
  const [subject] = run.subjects
  const parts = [runHeading(run, style).join('\n')]
  if (subject !== undefined) {
    for (const maps of painted) parts.push(paintedMaps(run, subject, maps, screen))
    for (const of of run.diversity) {
      parts.push(diversityTable(of, run.prompts.length, style), behaviourTable(of, style))
    }
    if (run.recorded.length > 0) {
      const latent = subject.model.attentionKind === 'MLA'
      const sentences = sentenceList([
        ...new Set(run.diversity.flatMap((one) => concludeDiversity(one, latent))),
        notShown(subject),
      ])
      parts.push([style.bold('WHAT THIS SHOWS, AND WHAT NOT'), ...sentences].join('\n'))
    }
  }
  parts.push(warningList(run.warnings, style).join('\n'))
  return parts.filter((part) => part !== '').join('\n\n')
}

function paintedMaps(
  run: AttentionMapsRun,
  subject: Subject,
  { layer, prompt, maps, overview }: PaintedMaps,
  { style, colours, width }: Screen,
): string {
  const tokens = run.prompts.find(({ index }) => index === prompt)
  const others = run.prompts.length - 1
  const more = others === 0 ? '' : ` ${others} more prompt${others === 1 ? ' is' : 's are'} stored.`
  const size = formatInteger(maps[0]?.size ?? 0)
  const note = `Rows are queries, columns keys, ${size} tokens.${more}`
  return [
    style.bold(`ATTENTION OF LAYER ${layer}, ${subject.name}${syntheticMark(subject)}`),
    ...(tokens === undefined ? [] : promptLines(tokens)),
    ...wrap(note, 80).map(style.dim),
    paintHeads({
      subject: headSubject(subject, layer),
      heads: overview.heads,
      quantity: { name: 'attention', ...(overview.pooled === null ? {} : { pooled: overview.pooled }) },
      width,
      colours,
    }),
  ].join('\n')
}

const mostCharacters = 150

/** What the model saw, any byte of it made visible. */
function promptLines({ text, tokens }: PromptTokens): string[] {
  const generated = tokens.filter((token) => token.generated)
  const written = [...visibleText(text || tokens.map((token) => token.text).join(''))]
  const shown = written.length > mostCharacters ? `${written.slice(0, mostCharacters).join('')}…` : written.join('')
  const continued = generated.length === 0 ? '' : ` + ${generated.length} generated`
  return wrap(`“${shown}”${continued}`, 80)
}

function notShown({ synthetic }: Subject): string {
  return synthetic
    ? 'These weights are drawn from a seed: attention maps of random weights show nothing but chance.'
    : 'Not shown: what a head does with what it reads, whether one could be removed, and what sharing K and V as such does to diversity: that takes models that differ in nothing else (kvscope compare).'
}
