import type { SubscriptionResolvers } from '../../generated/graphql.ts'
import { followRun } from '../follow-run.ts'
import type { RunEventRow } from '../rows.ts'

export const subscription: SubscriptionResolvers = {
  runEvents: {
    subscribe: (_root, { runId, after }, context) => followRun(context, runId, after ?? 0),
    resolve: (event: RunEventRow) => event,
  },
}
