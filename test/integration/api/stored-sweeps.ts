import type { Database } from '../../../src/db/client.ts'
import { completeSubjects, insertSeries } from '../../../src/db/results.ts'
import { finishRun } from '../../../src/db/runs.ts'
import { testName } from '../../../src/jobs/spec-names.ts'
import { sampleSeries } from '../../support/sample-runs.ts'
import { environment, storeQueuedRun, storeWorker, take } from './stored-runs.ts'

/** Tokens of a trial of the stored decodes. */
const generatedTokens = 8

/** Noise of up to 1 % whose median is none. */
const noise = [0, 0.004, -0.004, 0.01, -0.01, 0.002, -0.002]

/**
 * Stores a finished benchmark of gpt2's shape whose decode takes (fixed + slope x cached tokens) ms a token, with a
 * subject for each number of K/V heads.
 */
export async function storeDepthSweep(
  db: Database,
  lines: readonly { kvHeads: number; fixed: number; slope: number; bend?: number }[],
  depths: readonly number[],
): Promise<string> {
  const runId = await storeQueuedRun(
    db,
    lines.map(({ kvHeads }) => kvHeads),
  )
  const guard = await take(db, runId, await storeWorker(db))
  const opened = lines.map((_, index) => ({
    index,
    dtype: 'F32',
    computeDtype: 'F32',
    fingerprint: `f${index}`,
    threads: 2,
  }))
  await completeSubjects(db, guard, opened)
  const series = lines.flatMap(({ fixed, slope, bend = 0 }, subjectIndex) =>
    depths.map((depth) => {
      const cached = depth + (generatedTokens - 1) / 2
      const token = fixed + slope * cached + bend * cached ** 2
      const sizes = { promptTokens: 0, generatedTokens, depth, batch: 1 }
      const samples = noise.map((share) => generatedTokens * token * (1 + share))
      return sampleSeries({ subjectIndex, test: testName(sizes), ...sizes, samples })
    }),
  )
  await insertSeries(db, guard, series)
  await finishRun(db, guard, { status: 'SUCCEEDED', environment, warnings: [], keyFigure: 1 })
  return runId
}
