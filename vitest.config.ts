import { createRequire } from 'node:module'
import { dirname, join, relative, resolve as resolvePath, sep } from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const require = createRequire(import.meta.url)

/** Files that keep nothing in a module: what they import is loaded once for all of them. */
const sharing = [
  'test/unit/**/*.test.ts',
  'test/golden/!(families).test.ts',
  'test/integration/{api,bench,cli,db,embedded,jobs,models}/**/*.test.ts',
]

/** Files that put wrong blocks in the place of right ones: from the sources, and each by itself. */
const replacing = ['test/golden/families.test.ts']

// Vite would take graphql's .mjs where everybody else under Node takes its .js: two realms that refuse each other.
const resolve = { alias: [{ find: /^graphql$/, replacement: require.resolve('graphql') }] }
const src = join(import.meta.dirname, 'src')

/**
 * Takes what tests import of src/ from dist/, as the processes that they start do. A file that shares no modules would
 * otherwise transform hundreds of sources anew: a tenth of the suite's time.
 */
const compiledSources = {
  name: 'compiled-sources',
  enforce: 'pre',
  resolveId(id: string, importer: string | undefined) {
    if (importer === undefined || !id.startsWith('.') || !id.endsWith('.ts')) return null
    const file = relative(src, resolvePath(dirname(importer), id))
    if (file.startsWith(`..${sep}`)) return null
    return { id: join(import.meta.dirname, 'dist/src', file.replace(/\.ts$/, '.js')), external: true }
  },
} as const
/** Node itself loads them. */
const fromDist = { deps: { external: [/\/dist\/src\//] } }

const common = { pool: 'forks', testTimeout: 30_000, hookTimeout: 60_000, teardownTimeout: 30_000 } as const

/** The kill tests take longest: begun last, one of them would run on alone. */
class KillsFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const kills = ({ moduleId }: TestSpecification) => (moduleId.includes('/e2e/kill-') ? 0 : 1)
    return (await super.sort(files)).sort((a, b) => kills(a) - kills(b))
  }
}

export default defineConfig({
  resolve,
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    // One worker more than the cores of a small machine: most files wait for PostgreSQL or for processes of their own.
    maxWorkers: 3,
    teardownTimeout: 30_000,
    reporters: ['default'],
    sequence: { sequencer: KillsFirst },
    projects: [
      {
        resolve,
        plugins: [compiledSources],
        test: {
          ...common,
          name: 'isolated',
          include: ['test/**/*.test.ts'],
          exclude: [...sharing, ...replacing],
          server: fromDist,
        },
      },
      { resolve, test: { ...common, name: 'replacing', include: replacing } },
      { resolve, test: { ...common, name: 'sharing', include: sharing, isolate: false } },
    ],
  },
})
