import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../errors.ts'
import { RunKindDocument } from '../generated/operations.ts'
import { type AttentionMapsRun, fetchAttentionMapsRun } from './attention-run.ts'
import type { ApiClient } from './client.ts'
import type { Terminal } from './terminal.ts'
import { fetchWeightSlicesRun, type WeightSlicesRun } from './weight-run.ts'

/**
 * Writes all pictures and arrays of a run on heads into a folder.
 * @returns how many
 * @throws AppError VALIDATION_FAILED where the folder cannot be written to
 */
export async function saveRunFiles(
  client: ApiClient,
  id: string,
  folder: string,
  perHead: boolean,
  terminal: Pick<Terminal, 'progress' | 'endProgress'>,
): Promise<number> {
  const { run } = await client.request(RunKindDocument, { id })
  const files =
    run?.kind === 'WEIGHT_SLICES'
      ? weightFiles(await fetchWeightSlicesRun(client, id), perHead)
      : attentionFiles(await fetchAttentionMapsRun(client, id))
  await saveFiles(client, files, folder, (done) => {
    terminal.progress(done / files.length, `writing pictures and arrays to ${folder}`)
  })
  terminal.endProgress()
  return files.length
}

/** A file of a run, and where the API hands it out. */
export interface RunFile {
  name: string
  path: string
}

/** Pictures of the grids, pictures and array of each head, as the API serves them. */
export function weightFiles({ compared, slices }: WeightSlicesRun, perHead: boolean): RunFile[] {
  return [
    ...compared.flatMap(({ layer, projection, gridUrl }) =>
      pictures(`weights-L${layer}-${projection}-grid`, perHead ? `${gridUrl}&view=heads` : gridUrl),
    ),
    ...slices.flatMap(({ layer, projection, head, imageUrl, arrayUrl }) => {
      const name = `weights-L${layer}-${projection}-H${head}`
      return [...pictures(name, imageUrl), { name: `${name}.npy`, path: arrayUrl }]
    }),
  ]
}

/** The same of attention maps, and a picture of the heads' distances for each layer that was compared. */
export function attentionFiles({ id, attempt, recorded, diversity }: AttentionMapsRun): RunFile[] {
  return [
    ...diversity.flatMap(({ layer }) =>
      pictures(`diversity-L${layer}`, `/runs/${id}/attention/diversity/${layer}.svg?attempt=${attempt}`),
    ),
    ...recorded.flatMap(({ prompt, layer, gridUrl, maps }) => [
      ...pictures(`attention-P${prompt}-L${layer}-grid`, gridUrl),
      ...maps.flatMap(({ head, imageUrl, arrayUrl }) => {
        const name = `attention-P${prompt}-L${layer}-H${head}`
        return [...pictures(name, imageUrl), { name: `${name}.npy`, path: arrayUrl }]
      }),
    ]),
  ]
}

/** Addresses of pictures name SVG; PNG is served beside it. */
export function asPng(svgPath: string): string {
  return svgPath.replace(/\.svg(?=\?|$)/, '.png')
}

function pictures(name: string, svgPath: string): RunFile[] {
  return [
    { name: `${name}.svg`, path: svgPath },
    { name: `${name}.png`, path: asPng(svgPath) },
  ]
}

/**
 * Fetches files and writes them into a folder, which is made where it is not there.
 * @throws AppError VALIDATION_FAILED where the folder cannot be written to
 */
async function saveFiles(
  client: ApiClient,
  files: readonly RunFile[],
  folder: string,
  onFile: (done: number) => void,
): Promise<void> {
  await makeFolder(folder)
  for (const [done, { name, path }] of files.entries()) {
    onFile(done)
    const bytes = await client.file(path)
    await writeFile(join(folder, name), bytes).catch((error: unknown) => {
      throw unwritable(join(folder, name), error)
    })
  }
}

/**
 * Sees that files can be written into a folder before a command works for them.
 * @throws AppError VALIDATION_FAILED
 */
export async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw unwritable(folder, error)
  })
}

function unwritable(path: string, cause: unknown): AppError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new AppError(
    'VALIDATION_FAILED',
    `${path} cannot be written: ${why}`,
    'Name a folder that you may write.',
    cause,
  )
}
