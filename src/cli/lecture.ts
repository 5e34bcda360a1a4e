import type { Style } from '../render/style.ts'
import { tableToText } from '../render/table.ts'
import { formatBytes, formatInteger } from '../render/units.ts'

/** One row of the lecture's table: a model as if its heads were shared so, at a context, two bytes a value. */
export interface LectureRow {
  model: string
  kind: 'MHA' | 'MQA' | 'MLA'
  layers: number
  /** K/V heads; for MLA null: one latent serves all heads */
  kvHeads: number | null
  /** width of a head; for MLA the values cached a token and layer, kv_lora_rank 512 + rotary key 64 */
  width: number
  tokens: number
}

const gpt3 = { model: 'GPT-3 175B', layers: 96, width: 128 }
const deepseek = { model: 'DeepSeek-V3', layers: 61, width: 128 }

function gpt3At(tokens: number): LectureRow[] {
  return [
    { ...gpt3, kind: 'MHA', kvHeads: 96, tokens },
    { ...gpt3, kind: 'MQA', kvHeads: 1, tokens },
  ]
}

function deepseekAt(tokens: number): LectureRow[] {
  return [
    { ...deepseek, kind: 'MHA', kvHeads: 128, tokens },
    { ...deepseek, kind: 'MQA', kvHeads: 1, tokens },
    { ...deepseek, kind: 'MLA', kvHeads: null, width: 512 + 64, tokens },
  ]
}

/** The contexts at which the lecture's figures are true, each followed by the context that the model really has. */
export const lectureRows: readonly (readonly LectureRow[])[] = [
  gpt3At(1024),
  gpt3At(2048),
  deepseekAt(100_000),
  deepseekAt(163_840),
]

/**
 * Bytes of the cache of one sequence: layers x K/V heads x head dim x tokens x 2 (K and V) x 2 bytes (Shazeer 2019); for
 * MLA layers x latent values x tokens x 2 bytes (DeepSeek-V2, 2.1.4).
 */
export function lectureBytes(row: LectureRow): number {
  const valuesPerLayer = row.kvHeads === null ? row.width : row.kvHeads * row.width * 2
  return row.layers * valuesPerLayer * row.tokens * 2
}

/** The lecture's table with every factor, and what the lecture calls by another name than it should. */
export function lectureReport(style: Style): string {
  const table = tableToText(
    {
      columns: [
        { title: 'model' },
        { title: 'kind' },
        { title: 'layers', align: 'right' },
        { title: 'K/V heads', align: 'right' },
        { title: 'head dim', align: 'right' },
        { title: 'tokens', align: 'right' },
        { title: 'bytes', align: 'right' },
      ],
      rows: lectureRows.flatMap((rows, index) => [
        ...(index > 0 ? [null] : []),
        ...rows.map((row, position) => [
          position === 0 ? row.model : '',
          row.kind,
          `${row.layers}`,
          row.kvHeads === null ? 'latent' : `${row.kvHeads}`,
          `${row.width}`,
          formatInteger(row.tokens),
          formatBytes(lectureBytes(row)),
        ]),
      ]),
    },
    { head: style.bold },
  )
  return [
    style.bold("THE LECTURE'S KV CACHE, RECOMPUTED"),
    'layers x K/V heads x head dim x tokens x 2 (K and V) x 2 bytes, one sequence;',
    'MLA caches one latent for all heads: layers x 576 x tokens x 2 bytes',
    '',
    table,
    '',
    '· "4.5 GB" and "48 MB" are GiB and MiB, and hold at 1,024 tokens. GPT-3 has',
    '  2,048 positions: twice as much. The row labelled GQA is the formula of MQA.',
    '· "400 GB" and "3 GB" are GB, at 100,000 tokens, of an MHA and an MQA that',
    '  DeepSeek is not: it has MLA, 2.25 times that MQA and 1/57 of that MHA. Its',
    '  config has 163,840 positions.',
  ].join('\n')
}
