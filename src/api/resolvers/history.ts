import { findBaselines, removeBaseline, setBaseline } from '../../db/baselines.ts'
import { planRetention, pruneRuns } from '../../db/retention.ts'
import { requireRun } from '../../db/runs.ts'
import type { BaselineResolvers, MutationResolvers, QueryResolvers } from '../../generated/graphql.ts'
import { baselineName, retentionRule } from '../history-input.ts'
import { readTrend } from '../trends.ts'
import { loadRun } from './load-run.ts'

export const historyQueries = {
  trend: (_root, { input }, { db }) => readTrend(db, input),
  baselines: (_root, _args, { db }) => findBaselines(db),
  async retentionPlan(_root, { rule }, context) {
    const { oldestIds, ...plan } = await planRetention(context.db, retentionRule(rule))
    const runs = await context.loaders.runs.loadMany(oldestIds)
    // One may have been deleted since.
    return { ...plan, runs: runs.flatMap((run) => (run === null || run instanceof Error ? [] : [run])) }
  },
} satisfies Pick<QueryResolvers, 'trend' | 'baselines' | 'retentionPlan'>

export const historyMutations = {
  async setBaseline(_root, { name, runId }, { db }) {
    return { baseline: await setBaseline(db, baselineName(name), runId) }
  },
  async removeBaseline(_root, { name }, { db }) {
    return { run: await requireRun(db, await removeBaseline(db, name.trim())) }
  },
  async pruneRuns(_root, { rule, digest }, { db }) {
    return { deleted: await pruneRuns(db, retentionRule(rule), digest) }
  },
} satisfies Pick<MutationResolvers, 'setBaseline' | 'removeBaseline' | 'pruneRuns'>

export const baseline: BaselineResolvers = {
  run: ({ runId }, _args, context) => loadRun(runId, context),
}
