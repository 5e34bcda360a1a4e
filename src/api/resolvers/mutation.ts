import { deleteRun, editRun, requireRun } from '../../db/runs.ts'
import type { MutationResolvers } from '../../generated/graphql.ts'
import { cancel, retry } from '../../jobs/control.ts'
import { checkAnnotations } from '../../jobs/labels.ts'
import { submitRun } from '../../jobs/submit.ts'
import { benchmarkSpecOf } from '../spec-input.ts'

export const mutation: MutationResolvers = {
  async startBenchmark(_root, { input }, context) {
    const { runId, alreadyExisted } = await submitRun(context, {
      spec: benchmarkSpecOf(input),
      labels: input.labels ?? [],
      note: input.note ?? null,
      idempotencyKey: input.idempotencyKey ?? null,
    })
    return { run: await requireRun(context.db, runId), alreadyExisted }
  },
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
