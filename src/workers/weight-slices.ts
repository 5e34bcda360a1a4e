import { finishEnvironment, readEnvironment } from '../bench/environment.ts'
import { followWriting } from '../bench/follow-writing.ts'
import { describeOpened, openSubject, type SubjectCheckpoint } from '../bench/open-subject.ts'
import { progressOf, type Report } from '../bench/progress.ts'
import type { Checkpoint } from '../checkpoints/checkpoint.ts'
import { AppError } from '../errors.ts'
import { shareOf } from '../heads/head-sharing.ts'
import { checkWeightSlices, planWeightSlices } from '../jobs/check-weight-slices.ts'
import type { WeightSlicesSpec } from '../jobs/spec.ts'
import { matrixName } from '../render/matrix-name.ts'
import type { Warning } from '../stats/measured-series.ts'
import { inBatches, modelDimensionsFirst, readLayer, rowsOf } from './layer-slices.ts'
import type { ChildSink, Outcome } from './messages.ts'
import { ensureMemory } from './slice-memory.ts'

/**
 * The job kind WEIGHT_SLICES, in the child: reads the heads' matrices of one layer after the other, sends the slices and
 * which heads share what. The model is not run, and no runtime is loaded.
 * @throws AppError OUT_OF_MEMORY before a weight is read, CHECKPOINT_INVALID, and those of opening and of the plan
 */
export async function sliceWeights(
  spec: WeightSlicesSpec,
  places: { dataDir: string; modelRoots: readonly string[]; maxResultBytes: number },
  sink: ChildSink,
): Promise<Outcome> {
  const environment = readEnvironment()
  const progress = progressOf(sink)
  const { name, checkpoint, config } = await open(spec, places, progress.share(0, 0.3))
  // Once more: a folder may hold another model by now.
  checkWeightSlices(spec, name, config, places.maxResultBytes)
  const plan = planWeightSlices(spec, name, config)
  ensureMemory(plan, name, config)
  await sink.subjects([describeOpened(0, { checkpoint, config })])

  const report = progress.share(0.3, 1)
  let done = 0
  for (const layer of new Set(plan.map((slices) => slices.layer))) {
    const ofLayer = plan.filter((slices) => slices.layer === layer)
    await report(done / plan.length, `${name}: reading the weights of layer ${layer}`)
    const read = await readLayer(ofLayer, checkpoint, config)
    for (const { slices, located, matrices } of read) {
      const what = `${matrixName(slices.projection)} of layer ${layer}`
      for (const rows of inBatches(rowsOf(slices, located, matrices, checkpoint))) {
        await sink.heads({ of: 'weightMatrices', rows })
      }
      await report(done / plan.length, `${name}: comparing the heads' ${what}`)
      const { projection } = slices
      const compared = modelDimensionsFirst(projection, located, matrices)
      const sharing = shareOf(compared.matrices, compared.rows, config.heads)
      await sink.heads({ of: 'headSharing', rows: [{ layer, projection, ...sharing }] })
      done += 1
    }
  }
  await progress.finish('done')
  return { environment: finishEnvironment(environment), warnings: warningsOf(name, checkpoint), keyFigure: null }
}

async function open(
  spec: WeightSlicesSpec,
  places: { dataDir: string; modelRoots: readonly string[] },
  report: Report,
): Promise<SubjectCheckpoint & { name: string }> {
  const [subject] = spec.subjects
  if (subject === undefined) throw new AppError('VALIDATION_FAILED', 'the spec has no subject')
  const title = subject.name ?? 'the model'
  await report(0, `${title}: opening the checkpoint`)
  const writing = followWriting((fraction) =>
    report(fraction, `${title}: writing weights, ${Math.floor(fraction * 100)} %`),
  )
  const opened = await openSubject(subject, places, writing.onProgress)
  await writing.told()
  return { ...opened, name: subject.name ?? opened.config.name }
}

function warningsOf(name: string, checkpoint: Checkpoint): Warning[] {
  if (!checkpoint.synthetic) return []
  return [
    {
      code: 'SYNTHETIC_WEIGHTS',
      message: `${name}: random weights drawn from a seed, so which heads share a matrix is real, and what it looks like is not`,
      advice: 'Read a real checkpoint from a local folder to see trained weights.',
    },
  ]
}
