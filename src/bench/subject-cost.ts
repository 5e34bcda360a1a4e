import { parameterCount } from '../architecture/parameters.ts'
import { type CostedTest, type TrialCost, trialCost } from '../architecture/step-cost.ts'
import { tokensPerStep } from './plan.ts'
import type { SubjectPlan } from './subject-config.ts'

const widened = 4

/**
 * What one trial of a subject reads and computes at the least. Weights of 16 bits are widened when they are loaded, by
 * either engine, so a step reads 4 bytes of each; those of a quantised export are read as they are.
 */
export function subjectCost(subject: Pick<SubjectPlan, 'config' | 'exported'>, test: CostedTest): TrialCost {
  const { bytesRead, ...cost } = trialCost(subject.config, test, {
    tokensPerStep,
    bytesPerWeight: bytesPerWeight(subject),
    bytesPerCached: subject.exported?.cached === 'F16' ? 2 : widened,
  })
  // A quantised weight takes a fraction of a byte.
  return { ...cost, bytesRead: Math.round(bytesRead) }
}

/** Bytes of all weights as a step reads them. */
export function weightBytesRead(subject: Pick<SubjectPlan, 'config' | 'exported'>): number {
  return parameterCount(subject.config) * bytesPerWeight(subject)
}

function bytesPerWeight({ config, exported }: Pick<SubjectPlan, 'config' | 'exported'>): number {
  return exported === null || exported.weights !== null ? widened : exported.bytes / parameterCount(config)
}
