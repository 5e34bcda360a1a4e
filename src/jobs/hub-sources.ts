import { connectHub } from '../checkpoints/hub-request.ts'
import { fetchSnapshot, pinModel } from '../checkpoints/hub-snapshot.ts'
import type { HubSettings } from '../config.ts'
import type { HubSource, SubjectSpec } from './spec.ts'

/**
 * Subjects whose hub models name the commit that their revision stands for now, so that a run and its repetition run the
 * same weights. Each model is asked for once.
 * @throws AppError NOT_FOUND, HUB_ACCESS_DENIED, HUB_RATE_LIMITED, HUB_UNAVAILABLE
 */
export async function pinSubjects(subjects: readonly SubjectSpec[], settings: HubSettings): Promise<SubjectSpec[]> {
  const pins = new Map<string, Promise<HubSource>>()
  return Promise.all(
    subjects.map(async (subject) => {
      const { source } = subject
      if (!('hub' in source) || source.hub.commit !== null) return subject
      const key = JSON.stringify(source)
      const pin = pins.get(key) ?? pinSource(source, settings)
      pins.set(key, pin)
      return { ...subject, source: await pin }
    }),
  )
}

/** One hub model by the commit that its revision stands for now. @throws AppError as pinSubjects */
export async function pinSource(
  { hub }: HubSource,
  settings: HubSettings,
  signal: AbortSignal | null = null,
): Promise<HubSource> {
  const { commit } = await pinModel(await connectHub(settings, signal), hub)
  return { hub: { ...hub, commit } }
}

/** Subjects of which none is on the hub any more, and the folders that those now lie in. */
export interface FetchedSubjects {
  subjects: SubjectSpec[]
  /** to be added to the folders that models may be read from */
  roots: string[]
}

/**
 * Brings the hub models of subjects into the cache and puts the folders in their place: what opens models knows folders
 * only. Nothing is asked of the hub where the cache has all of them.
 * @param onProgress told the share of one model's bytes that have come, and which model it is
 * @throws AppError NOT_FOUND, HUB_ACCESS_DENIED, HUB_RATE_LIMITED, HUB_UNAVAILABLE, CHECKPOINT_INVALID, OUT_OF_DISK
 */
export async function fetchSubjects(
  subjects: readonly SubjectSpec[],
  settings: HubSettings,
  onProgress: (fraction: number, message: string) => void,
  signal: AbortSignal | null = null,
): Promise<FetchedSubjects> {
  const folders = new Map<string, string>()
  const fetched: SubjectSpec[] = []
  for (const subject of subjects) {
    const { source } = subject
    if (!('hub' in source)) {
      fetched.push(subject)
      continue
    }
    const key = JSON.stringify(source)
    const path = folders.get(key) ?? (await fetchSource(source, settings, onProgress, signal))
    folders.set(key, path)
    fetched.push({ ...subject, source: { local: { path } } })
  }
  return { subjects: fetched, roots: [...folders.values()] }
}

/** The folder of one hub model, fetched where the cache lacks it. @throws AppError as fetchSubjects */
export async function fetchSource(
  { hub: { repo, revision, commit } }: HubSource,
  settings: HubSettings,
  onProgress: (fraction: number, message: string) => void,
  signal: AbortSignal | null = null,
): Promise<string> {
  const hub = await connectHub(settings, signal)
  const model = commit === null ? await pinModel(hub, { repo, revision }) : { repo, revision, commit }
  let toldMs = Number.NEGATIVE_INFINITY
  return fetchSnapshot(hub, model, (done, total) => {
    if (done < total && performance.now() - toldMs < progressMs) return
    toldMs = performance.now()
    onProgress(total === 0 ? 1 : done / total, `downloading ${repo}`)
  })
}

/** Chunks come thousands a second. */
const progressMs = 500
