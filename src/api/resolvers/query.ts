import { kvCacheReport } from '../../architecture/kv-bytes.ts'
import { auditLecture } from '../../architecture/lecture-claims.ts'
import { describePresets } from '../../architecture/preset-facts.ts'
import { countRuns, defaultPageSize, pageRuns } from '../../db/run-pages.ts'
import { databaseTime, liveWorkers } from '../../db/workers.ts'
import { AppError } from '../../errors.ts'
import type { QueryResolvers, RunConnectionResolvers, WorkerResolvers } from '../../generated/graphql.ts'
import { describeSource, readCachedModel } from '../../jobs/model-source.ts'
import { checkHealth } from '../health.ts'
import { requestLimits } from '../limits.ts'
import { modelSourceOf } from '../spec-input.ts'
import { resolveComparison } from './comparison.ts'
import { historyQueries } from './history.ts'

export const query: QueryResolvers = {
  node: (_root, { id }, { loaders }) => loaders.runs.load(id),
  run: (_root, { id }, { loaders }) => loaders.runs.load(id),
  async runs(_root, args, { db }) {
    checkPageSize('first', args.first)
    checkPageSize('last', args.last)
    const filter = args.filter ?? {}
    return { ...(await pageRuns(db, { ...args, filter })), filter }
  },
  ...historyQueries,
  compareRuns: (_root, { input }, context) => resolveComparison(input, context),
  async kvCache(_root, { input }, { config: settings }) {
    const { source, contextLength, batch, dtype, tensorParallel, memoryBytes } = input
    const { config, weightBytes } = await readCachedModel(modelSourceOf(source), settings.modelRoots, settings.hub)
    return kvCacheReport(config, {
      contextLength,
      batch: batch ?? 1,
      dtype: dtype ?? 'F16',
      tensorParallel: tensorParallel ?? 1,
      memoryBytes: memoryBytes ?? null,
      weightBytes,
    })
  },
  model: (_root, { source }, { config }) => describeSource(modelSourceOf(source), config.modelRoots, config.hub),
  presets: () => [...describePresets()],
  lectureAudit: () => [...auditLecture()],
  async workers(_root, _args, { db, config }) {
    return liveWorkers(db, await databaseTime(db, config.queueLockMs))
  },
  health: (_root, _args, context) => checkHealth(context),
}

export const runConnection: RunConnectionResolvers = {
  edges: ({ edges }) => edges,
  nodes: ({ edges }) => edges.map(({ node }) => node),
  pageInfo: ({ edges, hasNextPage, hasPreviousPage }) => ({
    hasNextPage,
    hasPreviousPage,
    startCursor: edges[0]?.cursor ?? null,
    endCursor: edges.at(-1)?.cursor ?? null,
  }),
  totalCount: ({ filter }, _args, { db }) => countRuns(db, filter),
}

export const worker: WorkerResolvers = {
  busyWith: ({ id }, _args, { loaders }) => loaders.runsOfWorkers.load(id),
}

/** @throws AppError */
export function checkPageSize(name: string, size: number | null | undefined): void {
  if (size == null || (size >= 1 && size <= requestLimits.pageSize)) return
  throw new AppError(
    size < 1 ? 'VALIDATION_FAILED' : 'LIMIT_EXCEEDED',
    `${name} is ${size}`,
    `Ask for 1 to ${requestLimits.pageSize}; ${defaultPageSize} come where nothing is said.`,
  )
}
