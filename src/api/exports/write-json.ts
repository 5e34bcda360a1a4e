import type { Database } from '../../db/client.ts'
import { readEvents } from '../../db/events.ts'
import { version } from '../version.ts'
import { describeArray } from './exported-array.ts'
import type { RunContents } from './run-contents.ts'

/** Raised when a name, a shape or a meaning changes. */
const formatVersion = 1
const eventsAtOnce = 1_000

/**
 * A run as one JSON object, in pieces: the fields that GraphQL shows, the lists of its kind, its events, and under
 * `export` what the file is and which arrays the run has. What JSON cannot say, NaN and infinities, is null.
 * @param inline whether weights, and maps of up to 128 tokens, stand in it as nested lists
 */
export async function* writeJson(db: Database, contents: RunContents, inline: boolean): AsyncGenerator<string> {
  const { run, fields, lists, arrays } = contents
  yield `${JSON.stringify(fields).slice(0, -1)},\n"export":${JSON.stringify(describeExport(contents))}`
  for (const { name, items } of lists) yield* writeList(name, items(inline))
  yield* writeList('events', readAllEvents(db, run.id))
  yield* writeList('arrays', arrays.map(describeArray))
  yield '\n}\n'
}

function describeExport({ run }: RunContents) {
  return { format: 'kvscope-run', formatVersion, kvscope: version, finished: isFinished(run) }
}

/** Whether all is there that the run was to store: a run that FAILED or was CANCELED holds what it had by then. */
export function isFinished({ status }: RunContents['run']): boolean {
  return status === 'SUCCEEDED'
}

async function* writeList(name: string, items: Iterable<object> | AsyncIterable<object>): AsyncGenerator<string> {
  let separator = `,\n${JSON.stringify(name)}:[\n`
  for await (const item of items) {
    yield separator + JSON.stringify(item)
    separator = ',\n'
  }
  yield separator === ',\n' ? '\n]' : `${separator}]`
}

async function* readAllEvents(db: Database, runId: string): AsyncGenerator<object> {
  for (let after = 0; ; ) {
    const page = await readEvents(db, runId, after, eventsAtOnce)
    yield* page
    const last = page.at(-1)
    if (last === undefined || page.length < eventsAtOnce) return
    after = last.seq
  }
}

/** What stands beside the arrays of an archive: the same without nested values, whole. */
export async function readMetadata(db: Database, contents: RunContents): Promise<string> {
  let text = ''
  for await (const piece of writeJson(db, contents, false)) text += piece
  return text
}
