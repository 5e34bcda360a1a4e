import type { ModelConfig } from '../architecture/model-config.ts'
import type { ComparedHead } from '../heads/diversity.ts'
import { kvHeadOf } from '../heads/kv-groups.ts'

export interface CaptureHeads {
  /** query heads the graph returns; null: all */
  captured: number[] | null
  count: number
  /** heads whose maps are stored, and where each stands among the captured ones */
  stored: { head: number; kvHead: number | null; place: number }[]
  /** the captured heads, to be compared; empty where they are not */
  compared: ComparedHead[]
}

/** Comparing looks at all heads of a layer; without it, heads that are not stored need not leave the graph. */
export function planHeads(
  stored: readonly number[],
  compare: boolean,
  layer: number,
  config: ModelConfig,
): CaptureHeads {
  const all = Array.from({ length: config.heads }, (_, head) => head)
  const kvHeads = config.attention[layer]?.kvHeads ?? null
  const captured = compare || stored.length === config.heads ? null : [...stored]
  const places = captured ?? all
  const kvHead = (head: number) => (kvHeads === null ? null : kvHeadOf(head, config.heads, kvHeads))
  return {
    captured,
    count: places.length,
    stored: stored.map((head) => ({ head, kvHead: kvHead(head), place: places.indexOf(head) })),
    compared: compare ? all.map((head) => ({ head, kvHead: kvHead(head) ?? head })) : [],
  }
}
