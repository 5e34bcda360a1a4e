import { deleteRun } from '../../db/delete-runs.ts'
import { editRun, requireRun } from '../../db/runs.ts'
import type { MutationResolvers, StartBenchmarkInput } from '../../generated/graphql.ts'
import { cancel, retry } from '../../jobs/control.ts'
import { checkAnnotations } from '../../jobs/labels.ts'
import { submitRun } from '../../jobs/submit.ts'
import type { RequestContext } from '../context.ts'
import { attentionMapsSpecOf, benchmarkSpecOf, weightSlicesSpecOf } from '../spec-input.ts'
import { historyMutations } from './history.ts'

export const mutation: MutationResolvers = {
  startBenchmark: (_root, { input }, context) => start(benchmarkSpecOf(input), input, context),
  startWeightSlices: (_root, { input }, context) => start(weightSlicesSpecOf(input), input, context),
  startAttentionMaps: (_root, { input }, context) => start(attentionMapsSpecOf(input), input, context),
  ...historyMutations,
  async cancelRun(_root, { id }, context) {
    return { run: await cancel(context.db, id) }
  },
  async retryRun(_root, { id }, context) {
    return { run: await retry(context, id) }
  },
  async deleteRun(_root, { id }, { db }) {
    await deleteRun(db, id)
    return { deletedId: id }
  },
  async editRun(_root, { id, labels, note, pinned }, { db }) {
    const edit = { ...(labels && { labels }), ...(note !== undefined && { note }), ...(pinned != null && { pinned }) }
    checkAnnotations(edit)
    return { run: await editRun(db, id, edit) }
  },
}

/** What every input that starts a run says besides its spec. */
type StartInput = Pick<StartBenchmarkInput, 'labels' | 'note' | 'idempotencyKey'>

async function start(spec: object, { labels, note, idempotencyKey }: StartInput, context: RequestContext) {
  const submission = { spec, labels: labels ?? [], note: note ?? null, idempotencyKey: idempotencyKey ?? null }
  const { runId, alreadyExisted } = await submitRun(context, submission)
  return { run: await requireRun(context.db, runId), alreadyExisted }
}
