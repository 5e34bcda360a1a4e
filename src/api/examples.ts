import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { packageFile } from '../package-folder.ts'
import { type ExampleValues, exampleNames } from './example-values.ts'

/** A saved operation of the playground. */
export interface SavedExample {
  /** `02-presets`, from the file's name: tabs stand in this order */
  name: string
  query: string
  /** JSON; stored runs appear in it by what they are, such as NEWEST_RUN */
  variables: string
}

const folder = packageFile('src/api/examples')
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

/** Puts values in place of their names. */
export function fillExamples(examples: readonly SavedExample[], values: ExampleValues): SavedExample[] {
  return examples.map((example) => ({
    ...example,
    variables: exampleNames.reduce(
      (text, name) => text.replaceAll(`"${name}"`, () => JSON.stringify(values[name])),
      example.variables,
    ),
  }))
}
