import { describeModel } from '../../../src/architecture/model-facts.ts'
import { withKvHeads } from '../../../src/architecture/pool-kv-heads.ts'
import { findPreset } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import type { Database } from '../../../src/db/client.ts'
import { insertHeadRows } from '../../../src/db/head-rows.ts'
import { completeSubjects } from '../../../src/db/results.ts'
import { finishRun, insertRun } from '../../../src/db/runs.ts'
import { shareOf } from '../../../src/heads/head-sharing.ts'
import { kvGroups } from '../../../src/heads/kv-groups.ts'
import type { Projection, WeightMatrixRow } from '../../../src/heads/rows.ts'
import { parseSpec, specHash } from '../../../src/jobs/spec.ts'
import { seededRandom } from '../../../src/stats/random.ts'
import { weightMatrix } from '../../support/weight-rows.ts'
import { environment, storeWorker, take } from './stored-runs.ts'

const gpt2 = readModelConfig(findPreset('gpt2').config, 'gpt2')

export interface SlicedRunOptions {
  kvHeads?: number
  layers?: readonly number[]
  projections?: readonly Projection[]
  /** query heads whose slices are stored */
  heads?: readonly number[]
  rows?: number
  columns?: number
  /** of the values; 0: all are zero */
  seed?: number
  status?: 'SUCCEEDED' | 'RUNNING'
}

/** Stores a run on weight slices of gpt2's twelve heads, as it is when submitted. */
export async function storeQueuedSlices(db: Database, kvHeads = 4): Promise<string> {
  const subjects = [{ source: { synthetic: { preset: 'gpt2' } }, name: `kv${kvHeads}`, convert: { kvHeads } }]
  const spec = parseSpec({ kind: 'WEIGHT_SLICES', version: 1, subjects })
  const model = describeModel(withKvHeads(gpt2, kvHeads), null)
  const { runId } = await insertRun(db, {
    kind: 'WEIGHT_SLICES',
    device: 'CPU',
    spec,
    specHash: specHash(spec),
    subjects: [
      {
        name: `kv${kvHeads}`,
        modelName: 'gpt2',
        attentionKind: model.attentionKind,
        kvHeads,
        device: 'CPU',
        threads: null,
        synthetic: true,
        model,
      },
    ],
    labels: [],
    note: null,
    idempotencyKey: null,
  })
  return runId
}

/** Stores a run as a worker leaves it, with slices drawn from a seed. */
export async function storeSlicedRun(db: Database, options: SlicedRunOptions = {}): Promise<string> {
  const { kvHeads = 4, layers = [0], projections = ['K', 'V'], rows = 4, columns = 3, seed = 1 } = options
  const runId = await storeQueuedSlices(db, kvHeads)
  const guard = await take(db, runId, await storeWorker(db))
  await completeSubjects(db, guard, [{ index: 0, dtype: 'F32', computeDtype: 'F32', fingerprint: `f${seed}` }])
  const random = seededRandom(seed)
  for (const layer of layers) {
    for (const projection of projections) {
      const groups = kvGroups(12, projection === 'K' || projection === 'V' ? kvHeads : 12)
      const values = groups.map(() =>
        Float32Array.from({ length: rows * columns }, () => (seed === 0 ? 0 : random() - 0.5)),
      )
      const matrices: WeightMatrixRow[] = groups.flatMap((group, matrix) => {
        const heads = group.filter((head) => options.heads?.includes(head) ?? true)
        const bytes = new Uint8Array(values[matrix]?.buffer ?? new ArrayBuffer(0))
        return heads.length === 0
          ? []
          : [weightMatrix(layer, projection, matrix, { heads, rows, columns, values: bytes })]
      })
      await insertHeadRows(db, guard, { of: 'weightMatrices', rows: matrices })
      const sharing = { layer, projection, ...shareOf(values, rows, 12) }
      await insertHeadRows(db, guard, { of: 'headSharing', rows: [sharing] })
    }
  }
  if (options.status === 'RUNNING') return runId
  const warning = { code: 'SYNTHETIC_WEIGHTS', message: 'random weights', advice: 'read real ones' }
  await finishRun(db, guard, { status: 'SUCCEEDED', environment, warnings: [warning], keyFigure: null })
  return runId
}
