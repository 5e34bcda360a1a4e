import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The folder of package.json: the same from src/, where tests load this file, and from dist/src/, where processes do. */
export const packageFolder = findPackageFolder(import.meta.dirname)

/** A file that kvscope comes with, such as `src/schema.graphql`. */
export const packageFile = (path: string): string => join(packageFolder, path)

/**
 * What a process is started from: the compiled form of a source (tools/compile.mjs makes it).
 * @param source path from the package's folder, such as `src/workers/child.ts`
 */
export const compiledFile = (source: string): string => packageFile(join('dist', source.replace(/\.ts$/, '.js')))

function findPackageFolder(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder
  const parent = dirname(folder)
  if (parent === folder) throw new Error(`no package.json in any folder above ${import.meta.dirname}`)
  return findPackageFolder(parent)
}
