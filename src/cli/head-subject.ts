import type { PictureSubject } from '../render/picture-subject.ts'
import type { Subject } from './benchmark-run.ts'

/** Whose heads a picture of a layer shows: layers may differ in their K/V heads. */
export function headSubject({ name, model, synthetic }: Subject, layer: number): PictureSubject {
  const own = model.layerAttention.find(({ layers }) => layers.includes(layer))
  return {
    model: name,
    kind: own?.kind ?? model.attentionKind,
    heads: model.heads,
    kvHeads: own === undefined ? model.kvHeads : own.kvHeads,
    synthetic,
  }
}
