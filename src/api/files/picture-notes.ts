import type { Queries } from '../../db/client.ts'
import type { RunRow, SubjectRow } from '../../db/rows.ts'
import { findSubjects } from '../../db/run-parts.ts'
import type { AttentionPromptRow } from '../../heads/rows.ts'
import type { PictureSubject } from '../../render/picture-subject.ts'
import { modelOf } from '../presenters/run.ts'

/** Whose heads a picture of a layer shows: layers may differ in their K/V heads. */
function pictureSubject(subject: SubjectRow, layer: number): PictureSubject {
  const model = modelOf(subject)
  const own = model.layerAttention.find(({ layers }) => layers.includes(layer))
  return {
    model: subject.name,
    kind: own?.kind ?? model.attentionKind,
    heads: model.heads,
    kvHeads: own === undefined ? model.kvHeads : own.kvHeads,
    synthetic: subject.synthetic,
  }
}

/** Whose heads a run's pictures of a layer show, and the lines that tell of which weights and whether more is to come. */
export async function frameOf(db: Queries, run: RunRow, layer: number) {
  const [subject] = (await findSubjects(db, [run.id])).get(run.id) ?? []
  if (subject === undefined) throw new Error(`run ${run.id} has no subject`)
  const { fingerprint } = subject
  return {
    subject: pictureSubject(subject, layer),
    origin: [
      ...(fingerprint === null ? [] : [`Checkpoint ${fingerprint.slice(0, 12)}, run ${run.id}`]),
      ...(run.status === 'SUCCEEDED' ? [] : [`Not finished: the run is ${run.status}.`]),
    ],
  }
}

const mostCharacters = 160

/** `Prompt 0, 9 tokens: "The quick brown fox..."`. */
export function promptNote({ prompt, text, tokens }: AttentionPromptRow): string {
  const generated = tokens.filter((token) => token.generated).length
  const given = tokens.length - generated
  const count = `${given} token${given === 1 ? '' : 's'}${generated > 0 ? ` and ${generated} generated` : ''}`
  const shown = [...(text || tokens.map((token) => token.text).join(''))]
  const cut = shown.length > mostCharacters ? `${shown.slice(0, mostCharacters).join('')}…` : shown.join('')
  return `Prompt ${prompt}, ${count}: “${cut}”`
}
