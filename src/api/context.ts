import type { Config } from '../config.ts'
import type { Database } from '../db/client.ts'
import type { RunNotifications } from '../db/notifications.ts'
import type { Queues } from '../jobs/queues.ts'
import type { Logger } from '../log.ts'
import { createLoaders, type Loaders } from './loaders.ts'
import type { Caller } from './tokens.ts'
import { createValueBudget, type ValueBudget } from './value-budget.ts'

/** What one API process opened at its start and all requests share. */
export interface Services {
  config: Config
  db: Database
  queues: Queues
  notifications: RunNotifications
  log: Logger
}

/** What resolvers get: the services, who asks, and loaders that live as long as one request. */
export interface RequestContext extends Services {
  caller: Caller
  loaders: Loaders
  /** what its lists may still hold */
  values: ValueBudget
}

export function createRequestContext(services: Services, caller: Caller): RequestContext {
  return { ...services, caller, loaders: createLoaders(services.db), values: createValueBudget() }
}
