import { findDiversity, findPrompts, type StoredHead } from '../../db/attention-maps.ts'
import type { RunRow } from '../../db/rows.ts'
import { AppError } from '../../errors.ts'
import { diversityOf } from '../presenters/diversity.ts'
import type { AskedFile, FileServices } from './file-route.ts'
import { type PictureFormat, type PictureOptions, pictureFile } from './picture-file.ts'
import { frameOf, promptNote } from './picture-notes.ts'
import type { RunFile } from './send-file.ts'
import { readMaps, requireMaps } from './stored-maps.ts'

/** Longest side of a picture of one map, and of each map in a grid, in cells. */
const mostCells = { one: 512, grid: 256 }

type Asked<Place> = AskedFile<Place & { format: PictureFormat }, PictureOptions>

/** The maps of all heads of a layer that were recorded. */
export async function attentionGrid(asked: Asked<{ prompt: number; layer: number }>): Promise<RunFile> {
  const { services, run, place, options } = asked
  const { prompt, layer, format } = place
  const maps = await requireMaps(services.db, run, { prompt, layer })
  const picture = { ...(await readPicture(services, run, maps, mostCells.grid)), layer, theme: options.theme }
  return pictureFile(services.drawing, { of: 'heads', picture }, format, options, `attention-P${prompt}-L${layer}`)
}

/** The map of one head. */
export async function attentionMap(asked: Asked<{ prompt: number; layer: number; head: number }>): Promise<RunFile> {
  const { services, run, place, options } = asked
  const { prompt, layer, head, format } = place
  const maps = await requireMaps(services.db, run, { prompt, layer, head })
  const { heads, ...around } = await readPicture(services, run, maps, mostCells.one)
  const [matrix] = heads
  if (matrix === undefined) throw new Error('a map was read without its values')
  const picture = { ...around, layer, head, kvHead: matrix.kvHead, matrix, theme: options.theme }
  const name = `attention-P${prompt}-L${layer}-H${head}`
  return pictureFile(services.drawing, { of: 'head', picture }, format, options, name)
}

/** What both have: whose maps, their values, and the prompt in words and labels. */
async function readPicture(services: FileServices, run: RunRow, maps: readonly StoredHead[], most: number) {
  const [map] = maps
  if (map === undefined) throw new Error('there is no map to draw')
  const [{ subject, origin }, prompts, { heads, pooled }] = await Promise.all([
    frameOf(services.db, run, map.layer),
    findPrompts(services.db, [run.id]),
    readMaps(services.db, maps, most),
  ])
  const prompt = prompts.get(run.id)?.find((one) => one.prompt === map.prompt)
  const tokens = prompt?.tokens.map(({ text }) => text)
  return {
    subject,
    heads,
    quantity: { name: 'attention', ...(tokens && { tokens }), ...(pooled && { pooled }) } as const,
    notes: [...(prompt ? [promptNote(prompt)] : []), ...origin],
  }
}

/** How far apart the heads of a layer are. */
export async function diversityMatrix({ services, run, place, options }: Asked<{ layer: number }>): Promise<RunFile> {
  const { layer, format } = place
  const row = (await findDiversity(services.db, [run.id])).get(run.id)?.find((one) => one.layer === layer)
  if (row === undefined) {
    throw new AppError(
      'NOT_FOUND',
      `run ${run.id} has not compared the heads of layer ${layer}`,
      run.status === 'SUCCEEDED' ? 'Its `diversity` has the layers that it compared.' : `The run is ${run.status}.`,
    )
  }
  const { heads, jsDistance, perPrompt } = diversityOf(row)
  const { subject, origin } = await frameOf(services.db, run, layer)
  const picture = {
    subject,
    layer,
    measure: 'Jensen-Shannon distance',
    values: jsDistance,
    heads: heads.map(({ head }) => head),
    notes: [`Mean over ${perPrompt.length} prompts. 0: the same map; 1: no key in common.`, ...origin],
    theme: options.theme,
  }
  return pictureFile(services.drawing, { of: 'distances', picture }, format, options, `diversity-L${layer}`)
}
