// Makes what is made from other files: the Prisma client and the GraphQL types. Each part keeps a hash of what it was
// made from in src/generated/.made, so that a start makes only what is stale.
// Usage: node tools/generate.mjs [--all]
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const at = (path) => join(root, path)
const operations = 'src/cli/operations.graphql'

const parts = [
  {
    name: 'prisma',
    from: ['prisma/schema.prisma', 'tools/prisma.mjs', 'node_modules/prisma/package.json'],
    makes: ['src/generated/prisma/client.ts'],
    make: makePrismaClient,
  },
  {
    name: 'graphql',
    from: [
      'src/schema.graphql',
      operations,
      'tools/generate.mjs',
      'node_modules/@graphql-codegen/typescript-resolvers/package.json',
    ],
    makes: ['src/generated/graphql.ts', ...(existsSync(at(operations)) ? ['src/generated/operations.ts'] : [])],
    make: makeGraphqlTypes,
  },
]

/** The parts whose sources are no longer those they were made from. */
export function findStaleParts() {
  return parts.filter(
    (part) => readText(stampOf(part)) !== hashOf(part) || !part.makes.every((file) => existsSync(at(file))),
  )
}

/** Makes parts; nothing of a part counts as made until all of it is. */
export async function makeParts(wanted) {
  for (const part of wanted) {
    const hash = hashOf(part)
    await part.make()
    write(stampOf(part), hash)
  }
}

const stampOf = (part) => `src/generated/.made/${part.name}`

function hashOf(part) {
  const hash = createHash('sha256')
  for (const file of part.from) hash.update(`${file}\0${readText(file) ?? ''}\0`)
  return hash.digest('hex')
}

function makePrismaClient() {
  return new Promise((done, failed) => {
    // Its words belong to the log: stdout may be a command's result.
    const child = spawn(process.execPath, [at('tools/prisma.mjs'), 'generate'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const said = []
    child.stdout.on('data', (chunk) => said.push(chunk))
    child.stderr.on('data', (chunk) => said.push(chunk))
    child.once('error', failed)
    child.once('close', (code) =>
      code === 0 ? done() : failed(new Error(`prisma generate failed:\n${Buffer.concat(said)}`)),
    )
  })
}

/** @graphql-codegen/core with the plugins alone: its command line tool would bring 301 packages. */
async function makeGraphqlTypes() {
  const [{ codegen }, { parse }, ...plugins] = await Promise.all([
    import('@graphql-codegen/core'),
    import('graphql'),
    import('@graphql-codegen/typescript'),
    import('@graphql-codegen/typescript-resolvers'),
    import('@graphql-codegen/typescript-operations'),
    import('@graphql-codegen/typed-document-node'),
  ])
  const [typescript, resolvers, typescriptOperations, typedDocuments] = plugins
  const schema = parse(readFileSync(at('src/schema.graphql'), 'utf8'))
  const shared = { enumsAsTypes: true, useTypeImports: true, strictScalars: true }
  const generate = async (filename, documents, config, used) => {
    const names = Object.keys(used)
    const text = await codegen({
      filename,
      schema,
      documents,
      config,
      plugins: names.map((name) => ({ [name]: {} })),
      pluginMap: used,
    })
    write(filename, text)
  }
  const server = { ...shared, ...resolverTypes, scalars: { ...scalars, DateTime: 'Date' } }
  await generate('src/generated/graphql.ts', [], server, { typescript, resolvers })
  const rawSDL = readText(operations)
  if (rawSDL === null) return
  const client = { ...shared, documentMode: 'string', scalars: { ...scalars, DateTime: 'string' } }
  const documents = [{ location: operations, rawSDL, document: parse(rawSDL) }]
  await generate('src/generated/operations.ts', documents, client, { typescriptOperations, typedDocuments })
}

const scalars = { ID: 'string', JSON: 'unknown', SafeInt: 'number' }

/** What the parent of each GraphQL type is whose fields are not simply there; src/api/rows.ts names them. */
const parents = {
  Node: 'RunRow',
  Run: 'RunRow',
  BenchmarkRun: 'RunRow',
  WeightSlicesRun: 'RunRow',
  AttentionMapsRun: 'RunRow',
  RunConnection: 'RunPageParent',
  RunEvent: 'RunEventRow',
  Series: 'StoredSeries',
  Subject: 'SubjectRow',
  Summary: 'SummaryParent',
  Model: 'ModelFacts',
  LayerAttention: 'LayerAttentionFacts',
  Preset: 'DescribedPreset',
  KvCache: 'KvCacheReport',
  Comparison: 'ComparisonParent',
  BenchmarkComparison: 'BenchmarkComparisonParent',
  SeriesComparison: 'ComparedSeries',
  WeightSlicesComparison: 'WeightSlicesComparisonParent',
  SliceComparison: 'ComparedSlice',
  WeightSliceConnection: 'SlicePageParent',
  WeightSlice: 'StoredSlice',
  HeadSharing: 'HeadSharingRow',
  DiversityComparison: 'DiversityComparisonParent',
  DiversityDifference: 'ComparedDiversity',
  PromptTokens: 'AttentionPromptRow',
  AttentionMap: 'StoredHead',
  AttentionTile: 'TileParent',
  Diversity: 'LayerDiversity',
  Worker: 'WorkerRow',
  Baseline: 'BaselineRow',
}

const resolverTypes = {
  inputMaybeValue: 'T | null | undefined',
  emitLegacyCommonJSImports: false,
  importExtension: '',
  contextType: '../api/context.ts#RequestContext',
  mappers: Object.fromEntries(Object.entries(parents).map(([type, row]) => [type, `../api/rows.ts#${row}`])),
}

function readText(path) {
  try {
    return readFileSync(at(path), 'utf8')
  } catch {
    return null
  }
}

/** Written beside and renamed: other processes may be reading the file as it was. */
function write(path, text) {
  mkdirSync(dirname(at(path)), { recursive: true })
  const draft = `${at(path)}.${process.pid}.draft`
  writeFileSync(draft, text)
  renameSync(draft, at(path))
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await makeParts(process.argv.includes('--all') ? parts : findStaleParts())
}
