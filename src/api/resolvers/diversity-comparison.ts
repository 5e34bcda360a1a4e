import { compareDiversity } from '../../heads/compare-diversity.ts'
import { diversityOf, type StoredDiversity } from '../presenters/diversity.ts'
import type { ComparedDiversities, RunRow } from '../rows.ts'
import type { CompareKind } from './compare-kind.ts'

/** Mean distances of each candidate's heads against the baseline's, layer by layer, paired by prompt. */
export const compareDiversities: CompareKind<ComparedDiversities> = async (
  baseline,
  candidates,
  _input,
  { loaders },
) => {
  const load = async (run: RunRow) => ({ run, layers: (await loaders.diversity.load(run.id)).map(diversityOf) })
  const [before, ...measured] = await Promise.all([baseline, ...candidates].map(load))
  const rows = measured.flatMap(({ run, layers }) =>
    before === undefined || layers.length === 0 || before.layers.length === 0
      ? []
      : compareDiversity(before.layers, layers).map((row) => ({ ...row, candidateId: run.id })),
  )
  const reasons = [...(before ? [before] : []), ...measured].flatMap(whyNone)
  return { kind: 'ATTENTION_MAPS', rows, reasons }
}

function whyNone({ run, layers }: { run: RunRow; layers: readonly StoredDiversity[] }): string[] {
  if (layers.length > 0) return []
  const why = run.status === 'SUCCEEDED' ? 'it was run without' : `it is ${run.status}`
  return [`run ${run.id} has no diversity stored: ${why}`]
}
