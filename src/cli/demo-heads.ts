import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { HeadMatrix } from '../render/head-groups.ts'
import type { AttentionMapsRun, LayerMaps, Overview } from './attention-run.ts'
import { fetchAttentionMapsRun, fetchOverview } from './attention-run.ts'
import type { Subject } from './benchmark-run.ts'
import type { ApiClient } from './client.ts'
import { planHeads, type SubjectInput } from './demo-plan.ts'
import { asPng } from './picture-files.ts'
import { requireSuccess } from './run-result.ts'
import { type RunInput, submitAndFollow } from './submit-run.ts'
import { type ComparedHeads, fetchMatrices, fetchWeightSlicesRun, type WeightSlicesRun } from './weight-run.ts'

/** What the demo's second part read of one subject. */
export interface LookedAt {
  label: string
  weights: WeightSlicesRun
  /** W_K of the layer that is painted */
  keys: ComparedHeads & { matrices: HeadMatrix[] }
  attention: AttentionMapsRun
  maps: LayerMaps & { overview: Overview }
}

export interface LookParts {
  secret: string | undefined
  signal: AbortSignal
  /** where the pictures go */
  folder: string
  quick: boolean
  /** how much of the second part is done, 0 to 1 */
  onProgress(fraction: number, message: string): void
}

/**
 * The lecture's second half as any client would see it: reads each subject's K and V matrices and records where its last
 * layer looks, one run after the other, and fetches the pictures.
 * @param subjects as the benchmark was asked for them, and as it opened them
 * @returns what was read, in the subjects' order, and the pictures' names
 * @throws AppError as the runs fail
 */
export async function lookAtHeads(
  client: ApiClient,
  subjects: readonly { input: SubjectInput; opened: Subject; label: string }[],
  parts: LookParts,
): Promise<{ looked: LookedAt[]; pictures: string[] }> {
  const shortest = Math.min(...subjects.map(({ opened }) => opened.model.contextLength))
  const looked: LookedAt[] = []
  const pictures: string[] = []
  await mkdir(parts.folder, { recursive: true })
  let done = 0
  const follow = async (asked: RunInput): Promise<string> => {
    const { secret, signal, onProgress } = parts
    const id = await submitAndFollow(client, asked, { secret, signal }, ({ message, status }, fraction) => {
      onProgress((done + fraction) / (2 * subjects.length), message ?? (status ?? '').toLowerCase())
    })
    done += 1
    return id
  }
  for (const { input, label } of subjects) {
    const plan = planHeads(input, shortest, parts.quick)
    const weights = await fetchWeightSlicesRun(client, await follow(plan.weights))
    requireSuccess(weights)
    const attention = await fetchAttentionMapsRun(client, await follow(plan.attention))
    requireSuccess(attention)
    const keys = weights.compared.find(({ projection }) => projection === 'K')
    const maps = attention.recorded.find(({ prompt }) => prompt === 0)
    if (keys === undefined || maps === undefined) throw new Error(`the runs on ${label} hold no matrices or no maps`)
    const named = (what: string) => `${what}-${label.replaceAll(/[^\w.-]+/g, '-')}.png`
    for (const { projection, gridUrl } of weights.compared) {
      pictures.push(await savePng(client, gridUrl, parts.folder, named(`weights-W${projection}`)))
    }
    pictures.push(await savePng(client, maps.gridUrl, parts.folder, named('attention')))
    looked.push({
      label,
      weights,
      keys: { ...keys, matrices: await fetchMatrices(client, weights, keys) },
      attention,
      maps: { ...maps, overview: await fetchOverview(client, maps) },
    })
  }
  return { looked, pictures }
}

async function savePng(client: ApiClient, svgPath: string, folder: string, name: string): Promise<string> {
  await writeFile(join(folder, name), await client.file(asPng(svgPath)))
  return name
}
