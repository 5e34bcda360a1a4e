import type { BenchmarkRunResolvers } from '../../generated/graphql.ts'
import { fittedAgainst } from '../../stats/sweep-axis.ts'
import { runChartAddress } from '../addresses.ts'
import type { RequestContext } from '../context.ts'
import { fitOf, type RunSweep, sweepOf } from '../presenters/sweep.ts'
import type { RunRow } from '../rows.ts'
import { loadParts } from './benchmark-comparison.ts'

/** What a benchmark has as a sweep. */
export const sweepFields = {
  async fits(run, _args, context) {
    const { subjects } = await loadParts(run, context)
    const sweep = await loadSweep(run, context)
    if (sweep === null) return []
    const { axis, unit } = fittedAgainst[sweep.axis]
    return sweep.lines.flatMap((line) => {
      const subject = subjects.find(({ index }) => index === line.subjectIndex)
      const fit = fitOf(sweep, line)
      if (subject === undefined || fit === null || fit.curved) return []
      const { fixed, slope } = fit
      return [{ subject, phase: line.phase, test: line.test || null, axis, fixed, slope, unit }]
    })
  },
  chartUrl: async (run, _args, context) => ((await loadSweep(run, context)) === null ? null : runChartAddress(run)),
} satisfies BenchmarkRunResolvers

async function loadSweep(run: RunRow, context: RequestContext): Promise<RunSweep | null> {
  const { subjects, series } = await loadParts(run, context)
  return sweepOf(run, subjects, series)
}
