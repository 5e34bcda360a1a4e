import { z } from 'zod'
import { bytesPerValue, findOverviews, type StoredHead } from '../../db/attention-maps.ts'
import { findTile, type StoredTile, streamTiles } from '../../db/attention-tiles.ts'
import type { Database } from '../../db/client.ts'
import { AppError } from '../../errors.ts'
import { decodeTile, tileSide } from '../../render/attention-tiles.ts'
import { encodeHalves } from '../../render/half-float.ts'
import { littleEndianBytes, npyByteLength, npyHeader } from '../../render/npy.ts'
import type { AskedFile } from './file-route.ts'
import type { RunFile } from './send-file.ts'
import { incomplete, requireMaps } from './stored-maps.ts'

const bytesType = 'application/octet-stream'

/** `0-7`, or `3` for one. */
export const layerRange = z
  .string({ error: 'give it once' })
  .regex(/^\d{1,5}(-\d{1,5})?$/, { error: 'it is a layer or a range of layers, such as 0-7' })
  .transform((text) => {
    const [first = 0, last = first] = text.split('-').map(Number)
    return { first, last }
  })
  .refine(({ first, last }) => first <= last, { error: 'it ends before it begins' })

/** The overviews of a prompt's maps by layer, then head: side x side bytes 255 sqrt(p) each. */
export async function overviewBytes(
  asked: AskedFile<{ prompt: number }, { layers?: { first: number; last: number } | undefined }>,
): Promise<RunFile> {
  const { services, run, place, options } = asked
  const all = await findOverviews(services.db, { runId: run.id, attempt: run.attempt, prompt: place.prompt })
  const { first, last } = options.layers ?? { first: 0, last: Number.POSITIVE_INFINITY }
  const overviews = all.filter(({ layer }) => layer >= first && layer <= last)
  if (overviews.length === 0) {
    const which = options.layers === undefined ? '' : `, layers ${first} to ${last}`
    throw new AppError('NOT_FOUND', `run ${run.id} holds no attention map of prompt ${place.prompt}${which}`)
  }
  return { type: bytesType, body: Buffer.concat(overviews.map(({ overview }) => overview)) }
}

export interface TileAddress {
  prompt: number
  layer: number
  head: number
  level: number
  row: number
  column: number
  dtype: 'f16' | 'f32'
}

/** A tile as stored; those of short maps, which are stored as float32, also rounded to half-floats. */
export async function tileBytes(asked: AskedFile<TileAddress, { statistic: 'mean' | 'maximum' }>): Promise<RunFile> {
  const { services, run, options } = asked
  const { dtype, ...place } = asked.place
  const statistic = options.statistic === 'mean' ? 'MEAN' : 'MAXIMUM'
  const tile = await findTile(services.db, { runId: run.id, attempt: run.attempt, ...place, statistic })
  if (tile === null) {
    throw new AppError(
      'NOT_FOUND',
      `run ${run.id} holds no tile of prompt ${place.prompt}, layer ${place.layer}, head ${place.head} at level ${place.level}, row ${place.row}, column ${place.column}`,
      'Tiles lie on and below the diagonal: column <= row; each level halves the rows of tiles.',
    )
  }
  return { type: bytesType, body: asDtype(tile, dtype) }
}

function asDtype({ data, storedAs, layer, head }: StoredTile, dtype: 'f16' | 'f32'): Uint8Array {
  if (dtype === storedAs.toLowerCase()) return data
  if (dtype === 'f16') return littleEndianBytes(encodeHalves(decodeTile(data, storedAs)))
  throw new AppError(
    'NOT_FOUND',
    `the map of layer ${layer}, head ${head} is stored as half-floats, not as float32`,
    'Ask for .f16, as tileUrlTemplate does.',
  )
}

/** A whole map as a NumPy file [size, size] in its stored type, made a row of tiles at a time. */
export async function mapArray(
  asked: AskedFile<{ prompt: number; layer: number; head: number }, object>,
): Promise<RunFile> {
  const { services, run, place } = asked
  const [map] = await requireMaps(services.db, run, place)
  if (map === undefined) throw new Error('a map that was found is not there')
  const dtype = map.storedAs === 'F32' ? 'float32' : 'float16'
  const shape = [map.size, map.size]
  return {
    type: bytesType,
    body: streamArray(services.db, map, npyHeader(dtype, shape)),
    length: npyByteLength(dtype, shape),
    name: `attention-P${place.prompt}-L${place.layer}-H${place.head}.npy`,
  }
}

async function* streamArray(db: Database, map: StoredHead, header: Uint8Array): AsyncGenerator<Uint8Array> {
  yield header
  yield* streamBands(db, map)
}

/** A whole map row-major in its stored type, up to 256 rows at a time, with the zeros above the diagonal. */
export async function* streamBands(db: Database, map: StoredHead): AsyncGenerator<Uint8Array> {
  const { runId, attempt, prompt, layer, head, size, storedAs } = map
  const width = bytesPerValue[storedAs]
  let sent = 0
  const tileRows = Math.ceil(size / tileSide)
  for await (const tiles of streamTiles(db, { runId, attempt, prompt, layer, head, level: 0 }, tileRows)) {
    const rows = tiles[0]?.rows ?? 0
    const band = new Uint8Array(rows * size * width) // keys above the diagonal stay 0
    for (const tile of tiles) copyTile(band, size * width, tile, width)
    sent += rows
    yield band
  }
  if (sent !== size) throw incomplete([map])
}

function copyTile(band: Uint8Array, stride: number, { column, rows, columns, data }: StoredTile, width: number): void {
  const length = columns * width
  for (let row = 0; row < rows; row += 1) {
    band.set(data.subarray(row * length, (row + 1) * length), row * stride + column * tileSide * width)
  }
}
