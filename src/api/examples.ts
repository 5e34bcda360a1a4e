import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database } from '../db/client.ts'
import type { RunRow } from '../db/rows.ts'
import { pageRuns } from '../db/run-pages.ts'
import { packageFile } from '../package-folder.ts'

/** A saved operation of the playground. */
export interface SavedExample {
  /** `02-presets`, from the file's name: tabs stand in this order */
  name: string
  query: string
  /** JSON; stored runs appear in it by what they are, such as NEWEST_RUN */
  variables: string
}

/** What an example may name instead of an id, since ids differ from database to database. */
export const namedRuns = [
  'NEWEST_RUN',
  'NEWEST_FINISHED_RUN',
  'OLDER_FINISHED_RUN',
  'NEWEST_WAITING_RUN',
  'NEWEST_FAILED_RUN',
  'NEWEST_WEIGHT_SLICES_RUN',
  'NEWEST_ATTENTION_MAPS_RUN',
] as const
export type NamedRun = (typeof namedRuns)[number]

const folder = packageFile('src/api/examples')
/** Stands where the database has no such run: a valid id that nothing has. */
const nobody = '00000000-0000-4000-8000-000000000000'

let examples: Promise<SavedExample[]> | null = null

/** Reads `examples/*.graphql` with the `.variables.json` beside each, in the order of their names. */
export function readExamples(): Promise<SavedExample[]> {
  examples ??= readFolder()
  return examples
}

async function readFolder(): Promise<SavedExample[]> {
  const files = (await readdir(folder)).sort()
  const documents = files.filter((file) => file.endsWith('.graphql'))
  return Promise.all(
    documents.map(async (file) => {
      const name = file.slice(0, -'.graphql'.length)
      const variablesFile = `${name}.variables.json`
      const text = (path: string) => readFile(join(folder, path), 'utf8')
      return {
        name,
        query: await text(file),
        variables: files.includes(variablesFile) ? await text(variablesFile) : '',
      }
    }),
  )
}

/** Puts ids in place of the names of runs. */
export function fillExamples(
  examples: readonly SavedExample[],
  ids: Readonly<Partial<Record<NamedRun, string>>>,
): SavedExample[] {
  return examples.map((example) => ({
    ...example,
    variables: namedRuns.reduce(
      (text, name) => text.replaceAll(`"${name}"`, `"${ids[name] ?? nobody}"`),
      example.variables,
    ),
  }))
}

/** The stored runs that the examples name. */
export async function newestIds(db: Database): Promise<Partial<Record<NamedRun, string>>> {
  const newest = async (first: number, status: RunRow['status'][] | null, kind: RunRow['kind'] | null = null) => {
    const { edges } = await pageRuns(db, { first, filter: { status, kind } })
    return edges.map(({ node }) => node.id)
  }
  const [[any], [finished, older], [waiting], [failed], [slices], [maps]] = await Promise.all([
    newest(1, null),
    // They are compared, as benchmarks are.
    newest(2, ['SUCCEEDED'], 'BENCHMARK'),
    newest(1, ['QUEUED', 'RUNNING']),
    newest(1, ['FAILED', 'CANCELED']),
    newest(1, ['SUCCEEDED'], 'WEIGHT_SLICES'),
    newest(1, ['SUCCEEDED'], 'ATTENTION_MAPS'),
  ])
  return {
    ...(any && { NEWEST_RUN: any }),
    ...(finished && { NEWEST_FINISHED_RUN: finished }),
    ...(older && { OLDER_FINISHED_RUN: older }),
    ...(waiting && { NEWEST_WAITING_RUN: waiting }),
    ...(failed && { NEWEST_FAILED_RUN: failed }),
    ...(slices && { NEWEST_WEIGHT_SLICES_RUN: slices }),
    ...(maps && { NEWEST_ATTENTION_MAPS_RUN: maps }),
  }
}
