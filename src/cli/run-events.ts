import { RunEventsPageDocument, type RunEventsPageQuery } from '../generated/operations.ts'
import type { ApiClient } from './client.ts'

export type StoredEvent = NonNullable<RunEventsPageQuery['run']>['events'][number]

/** All events of a run, page by page. */
export async function fetchEvents(client: ApiClient, id: string): Promise<StoredEvent[]> {
  const events: StoredEvent[] = []
  for (;;) {
    const { run } = await client.request(RunEventsPageDocument, { id, after: events.at(-1)?.seq ?? 0 })
    const page = run?.events ?? []
    events.push(...page)
    if (page.length < 100) return events
  }
}
