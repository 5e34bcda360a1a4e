import { findSeries } from '../../db/results.ts'
import type { RunRow, StoredSeries, SubjectRow } from '../../db/rows.ts'
import { findSubjects } from '../../db/run-parts.ts'
import { csvRecord } from '../../render/csv.ts'
import { littleEndianBytes } from '../../render/npy.ts'
import type { Services } from '../context.ts'
import { modelOf } from '../presenters/run.ts'
import { createNamer, type ExportedArray } from './exported-array.ts'
import type { KindContents } from './run-contents.ts'

const titles = [
  ...['run', 'status', 'subject', 'model', 'attention_kind', 'heads', 'kv_heads', 'parameters', 'device', 'threads'],
  ...['dtype', 'synthetic', 'phase', 'test', 'prompt_tokens', 'generated_tokens', 'depth', 'batch', 'trial'],
  'milliseconds',
]

/** A benchmark: every sample of every series. */
export async function openBenchmark({ db }: Services, run: RunRow): Promise<KindContents> {
  const [subjects, found] = await Promise.all([findSubjects(db, [run.id]), findSeries(db, [run.id])])
  const series = (found.get(run.id) ?? []).filter(({ attempt }) => attempt === run.attempt)
  const subjectOf = (index: number) => {
    const subject = subjects.get(run.id)?.find((one) => one.index === index)
    if (subject === undefined) throw new Error(`run ${run.id} has series of subject ${index}, which it has not`)
    return subject
  }
  return {
    arrays: samplesArrays(series, subjects.get(run.id) ?? []),
    lists: [],
    async *records() {
      yield csvRecord(titles)
      for (const row of series) yield recordsOf(run, subjectOf(row.subjectIndex), row)
    },
  }
}

function recordsOf(run: RunRow, subject: SubjectRow, row: StoredSeries): string {
  const { heads, parameters } = modelOf(subject)
  const { name, modelName, attentionKind, kvHeads, device, threads, dtype, synthetic } = subject
  const shared = [
    ...[run.id, run.status, name, modelName, attentionKind, heads, kvHeads, parameters, device, threads, dtype],
    ...[synthetic, row.phase, row.test || null, row.promptTokens, row.generatedTokens, row.depth, row.batch],
  ]
  return row.samples.map((milliseconds, trial) => csvRecord([...shared, trial, milliseconds])).join('')
}

/** `series/gpt2-medium/decode_tg32@d512/samples`. */
function samplesArrays(series: readonly StoredSeries[], subjects: readonly SubjectRow[]): ExportedArray[] {
  const nameSubject = createNamer()
  return subjects.flatMap(({ index, name }) => {
    const folder = nameSubject(name)
    const nameSeries = createNamer()
    return series
      .filter(({ subjectIndex }) => subjectIndex === index)
      .map(({ phase, test, samples }) => {
        const what = nameSeries(
          [phase.toLowerCase(), test.replaceAll(' @ ', '@').replaceAll(' ', '_')].filter(Boolean).join('_'),
        )
        return {
          name: `series/${folder}/${what}/samples`,
          dtype: 'float64',
          shape: [samples.length],
          axes: ['trial'],
          bytes: () => [littleEndianBytes(Float64Array.from(samples))],
        } as const
      })
  })
}
