import { listSupportedBackends } from 'onnxruntime-node'
import { attentionProbe, elementwiseProbe, type Probe, probeOutput } from './probe-graph.ts'
import { graphOptionsFor } from './provider-graphs.ts'
import { type ExecutionProvider, openSession } from './session.ts'

const providers = ['cpu', 'cuda', 'webgpu', 'coreml', 'dml'] as const satisfies readonly ExecutionProvider[]

/**
 * How far a result may be off, as a share of the largest: GPUs multiply float32 with the 10 bits of TF32's or a half's
 * fraction by default, and a wrong kernel is off by all of it.
 */
const tolerance = 0.01

/** Providers that this build of onnxruntime could load, the CPU first; whether the machine has a driver is not known yet. */
export function listProviders(): ExecutionProvider[] {
  const built = new Set(listSupportedBackends().map((backend) => backend.name))
  return providers.filter((provider) => built.has(provider))
}

/**
 * Whether a provider computes rightly: what a decode step leans on, with no fallback to the CPU allowed, and the rest
 * of what families use, wherever the runtime puts it. Never throws; a broken driver may still end the process.
 * @returns null, or why the provider cannot be used
 */
export async function probeProvider(provider: ExecutionProvider): Promise<string | null> {
  const options = graphOptionsFor(provider)
  try {
    return (
      (await difference(provider, attentionProbe(options), true)) ??
      (await difference(provider, elementwiseProbe(options), false))
    )
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Told of each provider before and after it is tried, as trying a broken driver may end the process. */
export interface ProbeListener {
  begun(provider: ExecutionProvider): void
  ended(provider: ExecutionProvider, refused: string | null): void
}

/**
 * The providers that compute rightly on this machine. Never throws; a broken driver may still end the process.
 * @param skipped names of providers that are not to be tried
 */
export async function probeProviders(
  listener?: ProbeListener,
  skipped: readonly string[] = [],
): Promise<ExecutionProvider[]> {
  const usable: ExecutionProvider[] = []
  for (const provider of listProviders()) {
    if (skipped.includes(provider)) continue
    listener?.begun(provider)
    const refused = await probeProvider(provider)
    listener?.ended(provider, refused)
    if (refused === null) usable.push(provider)
  }
  return usable
}

async function difference(provider: ExecutionProvider, probe: Probe, strict: boolean): Promise<string | null> {
  const { model, feeds, expected } = probe
  // For the CPU itself there is nothing to fall back from.
  const withoutCpuFallback = strict && provider !== 'cpu'
  const session = await openSession(model.bytes, { files: [], provider, threads: 1, withoutCpuFallback })
  try {
    const { [probeOutput]: result } = await session.run(feeds, [probeOutput])
    return describeDifference(result?.data, expected)
  } finally {
    await session.close()
  }
}

/** @returns null where `found` is `expected` within the tolerance, else in words how far it is off */
export function describeDifference(
  found: ArrayLike<number | bigint> | undefined,
  expected: Float64Array,
): string | null {
  if (found?.length !== expected.length) return `${found?.length ?? 'no'} numbers where ${expected.length} belong`
  let [worst, largest] = [0, 0]
  for (const [index, value] of expected.entries()) {
    const off = Math.abs(Number(found[index]) - value)
    // NaN compares false with everything: it has to be caught before it is lost.
    worst = Number.isNaN(off) ? Number.POSITIVE_INFINITY : Math.max(worst, off)
    largest = Math.max(largest, Math.abs(value))
  }
  return worst <= tolerance * largest ? null : `numbers off by up to ${worst}, the largest being ${largest}`
}
