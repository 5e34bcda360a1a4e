import type { ComparableSeries } from './comparable-series.ts'

/** Why series of two runs cannot be compared, each reason with both values; empty where they can. */
export function differencesOfRuns(baseline: ComparableSeries, candidate: ComparableSeries): string[] {
  const reasons: string[] = []
  const compare = (...compared: Parameters<typeof difference>) => reasons.push(...difference(...compared))
  compare('subject', baseline.subjectName, candidate.subjectName)
  if (baseline.subjectName === candidate.subjectName && baseline.dtype === candidate.dtype) {
    const { fingerprint: before } = baseline
    const { fingerprint: after } = candidate
    if (before !== after) {
      reasons.push(
        `weights of ${baseline.subjectName} differ: fingerprint ${short(before)} in the baseline, ${short(after)} here`,
      )
    }
  }
  compare('test', baseline.test, candidate.test)
  compare('prompt length', baseline.promptTokens, candidate.promptTokens)
  if (baseline.test === candidate.test) compare('batch', baseline.batch, candidate.batch)
  compare('dtype', baseline.dtype, candidate.dtype)
  if (baseline.dtype === candidate.dtype) compare('compute dtype', baseline.computeDtype, candidate.computeDtype)
  compare('runtime', baseline.runtime, candidate.runtime)
  compare('device', baseline.device, candidate.device)
  compare('threads', threadsOf(baseline), threadsOf(candidate))
  compare('machine', baseline.hostname, candidate.hostname)
  compare('processor', baseline.cpu, candidate.cpu)
  compare('timing version of kvscope', baseline.timingVersion, candidate.timingVersion)
  compare('onnxruntime', baseline.onnxruntime, candidate.onnxruntime)
  return reasons
}

/** Why two subjects of one run cannot be compared: two tokenizers make different work of one text. */
export function differencesOfWork(baseline: ComparableSeries, candidate: ComparableSeries): string[] {
  return difference('prompt length', baseline.promptTokens, candidate.promptTokens)
}

/**
 * Subjects of one run differ on purpose, but a ratio has one cause only where they differ in one thing.
 * @returns a sentence where it is more than one, nothing else
 */
export function mixedCauses(baseline: ComparableSeries, candidate: ComparableSeries): string[] {
  const differ = <Key extends keyof ComparableSeries>(key: Key) => difference(key, baseline[key], candidate[key])
  const dtype = differ('dtype')
  const runtime = differ('runtime')
  const causes = [
    // A copy of other dtype, or for another runtime, is another file: its fingerprint says nothing of the model.
    ...(dtype.length + runtime.length === 0 ? differ('fingerprint').map(() => 'weights') : []),
    ...dtype.map(() => valuesOf('dtype', baseline.dtype, candidate.dtype)),
    ...runtime.map(() => valuesOf('runtime', baseline.runtime, candidate.runtime)),
    ...differ('device').map(() => valuesOf('device', baseline.device, candidate.device)),
    ...difference('threads', threadsOf(baseline), threadsOf(candidate)).map(() =>
      valuesOf('threads', threadsOf(baseline), threadsOf(candidate)),
    ),
  ]
  if (causes.length < 2) return []
  return [`${causes.join(' and ')} differ at once: the ratio does not say which of them it comes from`]
}

function threadsOf({ threads, cores }: ComparableSeries): number | null {
  return threads ?? cores
}

type Value = ComparableSeries[keyof ComparableSeries]

function difference(what: string, before: Value, after: Value): string[] {
  if (before === after || before === null || after === null) return []
  return [`${what} differs: ${before} in the baseline, ${after} here`]
}

function valuesOf(what: string, before: Value, after: Value): string {
  return `${what} (${before}, ${after})`
}

function short(fingerprint: string | null): string {
  return fingerprint === null ? 'unknown' : fingerprint.slice(0, 12)
}
