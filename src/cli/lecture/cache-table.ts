import {
  type LectureCache,
  type LectureModels,
  lectureCache,
  lectureTokens,
  readLectureModels,
} from '../../architecture/lecture-facts.ts'
import type { Style } from '../../render/style.ts'
import { type Table, tableToText } from '../../render/table.ts'
import { formatBytes, formatInteger } from '../../render/units.ts'
import { sentenceList } from '../text-parts.ts'

/** One row of the lecture's table as it stands: a model as if its heads were shared so, two bytes a value. */
export interface LectureRow extends LectureCache {
  model: string
}

/**
 * The lecture's table: GPT-3 and DeepSeek at the contexts at which its figures are true, each followed by the context
 * that the model really has.
 */
export function lectureRows(models: LectureModels = readLectureModels()): LectureRow[][] {
  const { gpt3, deepSeek } = models
  const at = (model: string, config: typeof gpt3, kinds: readonly LectureCache['kind'][], tokens: number) =>
    kinds.map((kind) => ({ model, ...lectureCache(config, kind, tokens) }))
  return [
    at('GPT-3 175B', gpt3, ['MHA', 'MQA'], lectureTokens.gpt3),
    at('GPT-3 175B', gpt3, ['MHA', 'MQA'], gpt3.contextLength),
    at('DeepSeek-V3', deepSeek, ['MHA', 'MQA', 'MLA'], lectureTokens.deepSeek),
    at('DeepSeek-V3', deepSeek, ['MHA', 'MQA', 'MLA'], deepSeek.contextLength),
  ]
}

/** The rows under their columns, models apart. */
export function lectureTable(): Table {
  return {
    columns: [
      { title: 'model' },
      { title: 'kind' },
      { title: 'layers', align: 'right' },
      { title: 'K/V heads', align: 'right' },
      { title: 'head dim', align: 'right' },
      { title: 'tokens', align: 'right' },
      { title: 'bytes', align: 'right' },
    ],
    rows: lectureRows().flatMap((rows, index) => [
      ...(index > 0 ? [null] : []),
      ...rows.map((row, position) => [
        position === 0 ? row.model : '',
        row.kind,
        `${row.layers}`,
        row.kvHeads === null ? 'latent' : `${row.kvHeads}`,
        `${row.width}`,
        formatInteger(row.tokens),
        formatBytes(row.bytes),
      ]),
    ]),
  }
}

/** How the table was computed, and what the lecture calls by another name than it should. */
export function lectureNotes(): string[] {
  const models = readLectureModels()
  const rows = lectureRows(models)
  const bytes = (group: number, kind: LectureCache['kind']) =>
    rows[group]?.find((row) => row.kind === kind)?.bytes ?? Number.NaN
  const whole = bytes(1, 'MHA') / bytes(0, 'MHA')
  return [
    `"4.5 GB" and "48 MB" are GiB and MiB, and hold at ${formatInteger(lectureTokens.gpt3)} tokens. GPT-3 has ${formatInteger(models.gpt3.contextLength)} positions: ${whole === 2 ? 'twice' : `${whole} times`} as much. The row labelled GQA is the formula of MQA.`,
    `"400 GB" and "3 GB" are GB, at ${formatInteger(lectureTokens.deepSeek)} tokens, of an MHA and an MQA that DeepSeek is not: it has MLA, ${bytes(2, 'MLA') / bytes(2, 'MQA')} times that MQA and 1/${Math.round(bytes(2, 'MHA') / bytes(2, 'MLA'))} of that MHA. Its config has ${formatInteger(models.deepSeek.contextLength)} positions.`,
  ]
}

/** The lecture's table with every factor, and what the lecture calls by another name than it should. */
export function lectureReport(style: Style): string {
  return [
    style.bold("THE LECTURE'S KV CACHE, RECOMPUTED"),
    'layers x K/V heads x head dim x tokens x 2 (K and V) x 2 bytes, one sequence;',
    'MLA caches one latent for all heads: layers x 576 x tokens x 2 bytes',
    '',
    tableToText(lectureTable(), { head: style.bold }),
    '',
    ...sentenceList(lectureNotes()),
  ].join('\n')
}
