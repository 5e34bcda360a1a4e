// The arrows of docs/design.md: a folder imports from lower floors only, never up, never sideways.

const floors = [
  ['cli'],
  ['api', 'workers'],
  ['bench', 'web'],
  ['models', 'jobs'],
  ['architecture'],
  ['onnx', 'checkpoints', 'db', 'embedded'],
  ['stats', 'render', 'generated', 'heads'],
]

const folder = (names) => `^src/(${names.join('|')})/`

/** No folder imports from its own floor's neighbours or from a floor above. */
const upOrSideways = floors.flatMap((names, floor) =>
  names.map((name) => ({
    name: `${name}-imports-lower-floors-only`,
    severity: 'error',
    // The resolvers' generated types name the parents that the API hands on; nothing of them is left at run time.
    from: { path: folder([name]), pathNot: '^src/generated/graphql\\.ts$' },
    to: { path: folder(floors.slice(0, floor + 1).flat()), pathNot: folder([name]) },
  })),
)

const only = (name, path, pathNot) => ({ name, severity: 'error', from: { path: '^src/', pathNot }, to: { path } })
const never = (name, from, to) => ({ name, severity: 'error', from: { path: from }, to: { path: to } })
const nowhere = (name, from, to) => ({
  name,
  severity: 'error',
  from: { path: from },
  to: { path: to, reachable: true },
})

// Packages that hold declarations and no code.
const typesOnly = '^@graphql-typed-document-node/core$'

const nativeRuntime = '^src/(models|bench|onnx)/|node_modules/(onnxruntime-node|@huggingface/transformers)/'

export default {
  forbidden: [
    ...upOrSideways.map((rule) =>
      rule.name.startsWith('heads-') ? { ...rule, to: { ...rule.to, pathNot: '^src/(heads|stats)/' } } : rule,
    ),
    never('floor-1-imports-no-folder', '^src/(config|errors|log|package-folder)\\.ts$', folder(floors.flat())),
    { name: 'no-cycles', severity: 'error', from: { pathNot: '^src/generated/' }, to: { circular: true } },
    never('bench-knows-of-jobs-only-the-spec', '^src/bench/', '^src/(jobs/(?!spec|glossary)|db/|embedded/)'),
    never('jobs-run-no-model', '^src/jobs/', '^src/(onnx|embedded)/'),
    nowhere('the-api-never-loads-the-native-runtime', '^src/api/', nativeRuntime),
    nowhere('the-parent-process-of-a-worker-stays-light', '^src/workers/(main|execution)\\.ts$', nativeRuntime),
    nowhere(
      'a-child-knows-no-database',
      '^src/workers/child\\.ts$',
      '^src/db/|node_modules/(pg|@prisma|bullmq|ioredis)/',
    ),
    only('only-onnx-loads-onnxruntime', 'node_modules/onnxruntime-node/', '^src/onnx/(session|devices)\\.ts$'),
    only(
      'only-queues-and-workers-know-bullmq',
      'node_modules/(bullmq|ioredis)/',
      '^src/(jobs/queues|workers/main)\\.ts$',
    ),
    only('only-db-knows-prisma', 'node_modules/@prisma/|^src/generated/prisma/', '^src/(db|generated)/'),
    only(
      'only-api-knows-graphql',
      'node_modules/(graphql|@apollo|@graphql-tools|graphql-scalars)/',
      '^src/(api|generated)/',
    ),
    only(
      'only-one-file-loads-transformers',
      'node_modules/@huggingface/transformers/',
      '^src/models/load-transformers\\.ts$',
    ),
    {
      name: 'kv-bytes-runs-in-a-browser',
      severity: 'error',
      from: { path: '^src/architecture/kv-bytes\\.ts$|^src/(stats|render|heads)/', pathNot: '^src/render/png\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
    { name: 'everything-resolves', severity: 'error', from: {}, to: { couldNotResolve: true, pathNot: typesOnly } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: 'specify',
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
}
