import { type AttentionMapsRun, fetchAttentionMapsRun } from '../attention-run.ts'
import { type BenchmarkRun, fetchBenchmarkRun } from '../benchmark-run.ts'
import type { ApiClient } from '../client.ts'
import { requireSuccess } from '../run-result.ts'
import { type RunInput, submitAndFollow } from '../submit-run.ts'
import { fetchWeightSlicesRun, type WeightSlicesRun } from '../weight-run.ts'
import type { LecturePlan } from './lecture-plan.ts'

/** A model of the lecture, looked into. */
export interface ModelHeads {
  name: string
  weights: WeightSlicesRun
  attention: AttentionMapsRun
}

/** The lecture's experiment, as it was and as it should be. */
export interface Replay {
  asItWas: BenchmarkRun
  asItShouldBe: BenchmarkRun
  honestPair: BenchmarkRun
  /** gpt2, then falcon */
  models: ModelHeads[]
}

export interface ReplayParts {
  secret: string | undefined
  signal: AbortSignal
  /** how much of the experiment is done, 0 to 1 */
  onProgress(fraction: number, message: string): void
}

/** How much of the whole time each benchmark takes, and each look into the heads of a model. */
const shares = { asItWas: 0.1, asItShouldBe: 0.3, honestPair: 0.4, heads: 0.05 }

/**
 * Submits the runs of a plan one after the other, as any client would, and reads them. When the signal aborts the run at
 * hand is cancelled.
 * @throws AppError as a run fails
 */
export async function replayLecture(client: ApiClient, plan: LecturePlan, parts: ReplayParts): Promise<Replay> {
  const { secret, signal, onProgress } = parts
  let done = 0
  const follow = async (asked: RunInput, share: number, what: string): Promise<string> => {
    onProgress(done, what)
    const id = await submitAndFollow(client, asked, { secret, signal }, ({ message }, fraction) => {
      onProgress(done + share * fraction, message === null ? what : `${what}: ${message}`)
    })
    done += share
    return id
  }
  const measure = async (part: 'asItWas' | 'asItShouldBe' | 'honestPair', what: string): Promise<BenchmarkRun> => {
    const id = await follow({ kind: 'BENCHMARK', input: plan[part] }, shares[part], what)
    const run = await fetchBenchmarkRun(client, id)
    requireSuccess(run)
    return run
  }

  const asItWas = await measure('asItWas', 'as it was')
  const asItShouldBe = await measure('asItShouldBe', 'as it should be')
  const honestPair = await measure('honestPair', 'the honest pair')
  const models: ModelHeads[] = []
  for (const { name, weights, attention } of plan.heads) {
    const weightsId = await follow({ kind: 'WEIGHT_SLICES', input: weights }, shares.heads, `weights of ${name}`)
    const attentionId = await follow({ kind: 'ATTENTION_MAPS', input: attention }, shares.heads, `attention of ${name}`)
    const model = {
      name,
      weights: await fetchWeightSlicesRun(client, weightsId),
      attention: await fetchAttentionMapsRun(client, attentionId),
    }
    requireSuccess(model.weights)
    requireSuccess(model.attention)
    models.push(model)
  }
  return { asItWas, asItShouldBe, honestPair, models }
}
