import { estimateResources } from '../../bench/estimate.ts'
import { availableMemory } from '../../bench/memory.ts'
import { ensureDiskSpace } from '../../checkpoints/disk-space.ts'
import type { Config, HubSettings } from '../../config.ts'
import { AppError } from '../../errors.ts'
import { expandSweep } from '../../jobs/expand-sweep.ts'
import { readSource } from '../../jobs/model-source.ts'
import { modelSource, parseSpec, type RunSpec } from '../../jobs/spec.ts'
import { formatDecimalBytes } from '../../render/units.ts'
import { presentWeightBytes } from '../present-weights.ts'
import type { LectureContexts, LecturePlan, LectureSubjects } from './lecture-plan.ts'

/** What PostgreSQL, logs, maps and slices may take besides the weights. */
const storedBytes = 250e6
/** API, worker and PostgreSQL beside the process that runs the models. */
const servicesBytes = 450e6

export interface LectureNeeds {
  diskBytes: number
  memoryBytes: number
  availableBytes: number
}

/**
 * What the experiment will take, from configs alone, before anything starts. Models that do not fit together are loaded in
 * turn, so the largest alone decides.
 * @throws AppError OUT_OF_DISK, OUT_OF_MEMORY, or what is wrong with a checkpoint
 */
export async function checkLectureNeeds(
  plan: LecturePlan,
  config: Config,
  modelRoots: readonly string[],
): Promise<LectureNeeds> {
  const roots = [...config.modelRoots, ...modelRoots]
  const specs = await Promise.all(
    [plan.asItWas, plan.asItShouldBe, plan.honestPair].map((asked) => specOf(asked, roots, config.hub)),
  )
  const estimates = await Promise.all(specs.map((spec) => estimateResources(spec, roots)))
  const [, pair, honest] = estimates
  const subjects = [
    ...new Map(specs.flatMap((spec) => spec.subjects.map((one) => [JSON.stringify(one), one]))).values(),
  ]
  const present = await presentWeightBytes(subjects, config.dataDir)
  const needed = (pair?.diskBytes ?? 0) + (honest?.diskBytes ?? 0)
  const diskBytes = Math.max(0, needed - present) + storedBytes
  const memoryBytes = Math.max(...estimates.map(({ inTurnBytes }) => inTurnBytes)) + servicesBytes
  const available = availableMemory()
  await ensureDiskSpace(config.dataDir, diskBytes)
  if (memoryBytes > available.bytes) {
    throw new AppError(
      'OUT_OF_MEMORY',
      `The experiment takes about ${formatDecimalBytes(memoryBytes)} of memory, and ${formatDecimalBytes(available.bytes)} are left by the ${available.bound}`,
      'Take --small, or free some memory.',
    )
  }
  return { diskBytes, memoryBytes, availableBytes: available.bytes }
}

/**
 * Positions of each model.
 * @param roots folders that checkpoints may be read from
 * @throws AppError what is wrong with a checkpoint
 */
export async function readContexts(
  subjects: LectureSubjects,
  roots: readonly string[],
  hub: HubSettings,
): Promise<LectureContexts> {
  const of = async ({ source }: LectureSubjects['gpt2']) =>
    (await readSource(modelSource.parse(source), roots, hub)).config.contextLength
  const [gpt2, falcon, pair] = await Promise.all([of(subjects.gpt2), of(subjects.falcon), of(subjects.pair)])
  return { gpt2, falcon, pair }
}

type BenchmarkSpec = Extract<RunSpec, { kind: 'BENCHMARK' }>

/** As the API makes it of what is asked. */
async function specOf(
  asked: LecturePlan['asItWas'],
  roots: readonly string[],
  hub: HubSettings,
): Promise<BenchmarkSpec> {
  const { note: _, labels: __, ...rest } = asked
  const spec = await expandSweep(parseSpec({ kind: 'BENCHMARK', version: 1, ...rest }), roots, hub)
  if (spec.kind !== 'BENCHMARK') throw new Error(`a spec of ${spec.kind}`)
  return spec
}
