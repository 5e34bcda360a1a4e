import { followWriting } from '../bench/follow-writing.ts'
import type { Report } from '../bench/progress.ts'
import { AppError } from '../errors.ts'
import type { Estimate } from '../heads/estimate.ts'
import type { CapturePlan } from '../models/capture-plan.ts'
import { drawnBytes, openDrawn } from '../models/synthetic.ts'
import type { Warning } from '../stats/measured-series.ts'
import { type CapturePasses, runPasses } from './capture-passes.ts'
import { type ComparedMaps, compareMaps } from './map-diversity.ts'

/** A file of random weights that is larger is not worth writing for one figure. */
const mostDrawnBytes = 4 * 2 ** 30

export interface RandomBaseline {
  /** mean distance of the heads by layer; empty where there is a warning instead */
  all: Map<number, Estimate>
  warning: Warning | null
}

/**
 * How far apart the heads are in the same architecture with random weights, over the same tokens. The weights are drawn
 * as the family's initialiser draws them, for the layers that are run, and kept in the data folder for the next run. The
 * subject's own weights have been released when this begins: two models are never loaded at once.
 *
 * It is one baseline of several: where there is no room for it the run goes on without, and says so.
 */
export async function measureRandomBaseline(
  passes: CapturePasses,
  compared: ComparedMaps,
  { seed, dataDir, report }: { seed: number; dataDir: string; report: Report },
): Promise<RandomBaseline> {
  const { name, config } = passes
  const plan = withoutGenerating(passes.plan)
  const layers = Math.max(...plan.passes.map((pass) => pass.layersRun))
  const weights = { config, seed, layers }
  const bytes = drawnBytes(weights)
  if (bytes > mostDrawnBytes)
    return without(`its random weights would take ${bytes} bytes, more than ${mostDrawnBytes}`)
  const accumulator = compareMaps({ ...compared, baselines: false })
  if (accumulator === null) return { all: new Map(), warning: null }

  const writing = followWriting((fraction) =>
    report(0.4 * fraction, `${name} with random weights: writing them, ${Math.floor(fraction * 100)} %`),
  )
  try {
    const { checkpoint } = await openDrawn(weights, dataDir, writing.onProgress)
    await writing.told()
    const rows = accumulator.addRows
    await runPasses(
      // The checkpoint holds no more layers, and must not be asked for them.
      { ...passes, plan, checkpoint, config: { ...config, layers }, name: `${name} with random weights` },
      { rows: (prompt, layer, captured, tokens) => rows(layer, prompt, captured, tokens) },
      (fraction, message) => report(0.4 + 0.6 * fraction, message),
    )
  } catch (error) {
    if (error instanceof AppError && error.code === 'OUT_OF_DISK') return without(error.message)
    throw error
  }
  return { all: new Map(accumulator.finish().map(({ layer, all }) => [layer, all])), warning: null }
}

/** The tokens are given: no pass needs the layers above those it captures, and they need not be drawn. */
function withoutGenerating({ chunk, passes }: CapturePlan): CapturePlan {
  return { chunk, passes: passes.map((pass) => ({ ...pass, layersRun: (pass.layers.at(-1) ?? 0) + 1 })) }
}

function without(reason: string): RandomBaseline {
  return {
    all: new Map(),
    warning: {
      code: 'NO_RANDOM_WEIGHTS_BASELINE',
      message: `the baseline of random weights is left out: ${reason}`,
      advice: 'Free some space, or ask for lower layers: only the layers up to the last one asked for are drawn.',
    },
  }
}
