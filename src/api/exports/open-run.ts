import type { RunRow } from '../../db/rows.ts'
import type { Services } from '../context.ts'
import { openAttentionMaps } from './attention-contents.ts'
import { openBenchmark } from './benchmark-contents.ts'
import type { ExportServices, KindContents, RunContents, RunFields } from './run-contents.ts'
import { readRunFields } from './run-fields.ts'
import { openWeightSlices } from './weight-contents.ts'

/** One function a kind of run. */
const kinds: Record<RunRow['kind'], (services: Services, run: RunRow, fields: RunFields) => Promise<KindContents>> = {
  BENCHMARK: openBenchmark,
  WEIGHT_SLICES: openWeightSlices,
  ATTENTION_MAPS: openAttentionMaps,
}

/** @throws AppError NOT_FOUND where a newer attempt has begun since the run was read */
export async function openRun(services: ExportServices, run: RunRow): Promise<RunContents> {
  const fields = await readRunFields(services, run)
  return { run, fields, ...(await kinds[run.kind](services, run, fields)) }
}
