import type { HubSettings } from '../config.ts'
import { fetchSubjects } from '../jobs/hub-sources.ts'
import type { RunSpec } from '../jobs/spec.ts'

/** The bar begins anew with the work itself: how long that takes is not known before. */
const shareOfProgress = 0.1

/**
 * Brings the hub models of a run into the cache, before any of its work.
 * @returns the spec with folders in their place, and those folders
 * @throws AppError NOT_FOUND, HUB_ACCESS_DENIED, HUB_RATE_LIMITED, HUB_UNAVAILABLE, CHECKPOINT_INVALID, OUT_OF_DISK
 */
export async function fetchModels<Spec extends RunSpec>(
  spec: Spec,
  hub: HubSettings,
  sink: { progress(fraction: number, message: string): Promise<void> | void },
  signal: AbortSignal | null = null,
): Promise<{ spec: Spec; roots: string[] }> {
  const told: (Promise<void> | void)[] = []
  const onProgress = (fraction: number, message: string) => {
    told.push(sink.progress(fraction * shareOfProgress, message))
  }
  const { subjects, roots } = await fetchSubjects(spec.subjects, hub, onProgress, signal)
  // Nothing may be on its way once something is timed.
  await Promise.all(told)
  return { spec: { ...spec, subjects }, roots }
}
