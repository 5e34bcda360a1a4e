import type { ReportBlock } from '../render/report.ts'
import { formatDecimalBytes, formatInteger } from '../render/units.ts'
import type { AttentionMapsRun } from './attention-run.ts'
import type { BenchmarkRun } from './benchmark-run.ts'
import type { WeightSlicesRun } from './weight-run.ts'

export type ReportedRun = BenchmarkRun | WeightSlicesRun | AttentionMapsRun

/** What nobody may overlook: made-up weights, and results that are not all there. */
export function noticesOf({ subjects, status }: ReportedRun): string[] {
  const synthetic = subjects.filter((subject) => subject.synthetic).map(({ name }) => name)
  const who = synthetic.length === subjects.length ? '' : ` (${synthetic.join(', ')})`
  return [
    ...(synthetic.length === 0 ? [] : [`SYNTHETIC WEIGHTS${who}: drawn from a seed, they have learned nothing`]),
    ...(status === 'SUCCEEDED'
      ? []
      : [`NOT FINISHED: the run is ${status}; what its latest attempt has stored is shown`]),
  ]
}

/** One line under a run's title. */
export function leadOf(run: ReportedRun): string[] {
  return [
    `Run ${run.id}, ${run.status}, ${run.startedAt ?? run.queuedAt}${run.environment === null ? '' : `, on ${run.environment.hostname}`}`,
    ...(run.note === null ? [] : [run.note]),
  ]
}

/** Where the figures come from: machine, software, models, spec and what to mind. */
export function provenanceOf(run: ReportedRun): ReportBlock[] {
  const { environment, error, labels } = run
  const machine =
    environment === null
      ? []
      : ([
          ['machine', environment.hostname],
          ['processor', `${environment.cpu}, ${environment.cores} cores`],
          ['memory', formatDecimalBytes(environment.memoryBytes)],
          ['system', environment.os],
          [
            'versions',
            `kvscope ${environment.kvscope}, onnxruntime ${environment.onnxruntime}, Node ${environment.node}`,
          ],
          ['load average', `${environment.loadAtStart} at its start, ${environment.loadAtEnd} at its end`],
        ] as const)
  return [
    { of: 'heading', text: 'Where this comes from' },
    {
      of: 'facts',
      rows: [
        ['run', run.id],
        ['status', run.status],
        ['attempt', String(run.attempt)],
        ['queued', run.queuedAt],
        ['started', run.startedAt ?? '–'],
        ['finished', run.finishedAt ?? '–'],
        ...machine,
        ...run.subjects.map(
          ({ name, fingerprint }) => [`fingerprint of ${name}`, fingerprint ?? 'not opened yet'] as const,
        ),
        ...labels.map(({ key, value }) => [`label ${key}`, value] as const),
        ...(error === null ? [] : ([['error', `${error.code}: ${error.message}`]] as const)),
      ],
    },
    subjectsTable(run),
    ...warningsTable(run),
    { of: 'text', text: 'What was asked for:' },
    { of: 'source', text: specText(run.spec) },
  ]
}

/** A line a field, and a line each for subjects and tests: indented in full, a spec of three subjects fills two pages. */
function specText(spec: unknown): string {
  return Object.entries(Object(spec))
    .map(([name, value]) => {
      const long = Array.isArray(value) && value.some((item) => typeof item === 'object')
      return long
        ? [`${name}:`, ...value.map((item) => `  ${JSON.stringify(item)}`)].join('\n')
        : `${name}: ${JSON.stringify(value)}`
    })
    .join('\n')
}

function subjectsTable({ subjects }: ReportedRun): ReportBlock {
  const right = { align: 'right' } as const
  return {
    of: 'table',
    caption: 'Models',
    table: {
      columns: [
        { title: 'name' },
        { title: 'attention' },
        { title: 'heads', ...right },
        { title: 'K/V heads', ...right },
        { title: 'layers', ...right },
        { title: 'parameters', ...right },
        { title: 'weights' },
        { title: 'computed on' },
      ],
      rows: subjects.map(({ name, model, dtype, device, threads, synthetic }) => [
        name,
        model.attentionKind,
        String(model.heads),
        model.kvHeads === null ? '–' : String(model.kvHeads),
        String(model.layers),
        formatInteger(model.parameters),
        [synthetic ? 'SYNTHETIC' : 'as stored', dtype].filter((part) => part !== null).join(', '),
        threads === null ? device : `${device}, ${threads} thread${threads === 1 ? '' : 's'}`,
      ]),
    },
  }
}

function warningsTable(run: ReportedRun): ReportBlock[] {
  const ofSeries =
    'series' in run
      ? run.series.flatMap(({ subject, test, phase, warnings }) =>
          warnings.map((warning) => ({ ...warning, where: `${subject.name}, ${test ?? phase.toLowerCase()}` })),
        )
      : []
  const ofModels = run.subjects.flatMap(({ name, model }) =>
    model.warnings.map((warning) => ({ ...warning, where: name })),
  )
  const all = [...run.warnings.map((warning) => ({ ...warning, where: '' })), ...ofModels, ...ofSeries]
  if (all.length === 0) return []
  return [
    {
      of: 'table',
      caption: 'What to mind',
      table: {
        columns: [{ title: 'of' }, { title: 'code' }, { title: 'seen' }, { title: 'what to do' }],
        rows: all.map(({ where, code, message, advice }) => [where || 'the run', code, message, advice]),
      },
    },
  ]
}
