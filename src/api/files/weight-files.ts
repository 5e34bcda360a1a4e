import type { Router } from 'express'
import { z } from 'zod'
import { projections } from '../../heads/rows.ts'
import { littleEndianBytes, npyByteLength, npyHeader } from '../../render/npy.ts'
import { type AskedFile, type FileServices, fileOptions, serveFile, wholeNumber } from './file-route.ts'
import { pictureFormat, pictureOptions, pictureShape } from './picture-file.ts'
import type { RunFile } from './send-file.ts'
import { requireMatrices, type SlicePlace } from './stored-slices.ts'
import { weightDifference, weightGrid, weightSlice } from './weight-pictures.ts'

const kinds = ['WEIGHT_SLICES'] as const
const layerPlace = z.object({ layer: wholeNumber, projection: z.enum(projections) })
const headPlace = layerPlace.extend({ head: wholeNumber })
const gridOptions = fileOptions({
  ...pictureShape,
  view: z.enum(['groups', 'heads'], { error: 'it is groups or heads' }).default('groups'),
})
const differenceOptions = z.strictObject({
  ...pictureShape,
  baseline: z.string({ error: 'name the run to compare with' }),
})

/** Arrays and pictures of weight slices. */
export function serveWeightFiles(router: Router, services: FileServices): void {
  serveFile(router, services, {
    path: '/weights/:layer/:projection/grid.:format',
    kinds,
    place: layerPlace.extend({ format: pictureFormat }),
    options: gridOptions,
    answer: weightGrid,
  })
  serveFile(router, services, {
    path: '/weights/:layer/:projection/:head.npy',
    kinds,
    place: headPlace,
    options: fileOptions({}),
    answer: sliceArray,
  })
  serveFile(router, services, {
    path: '/weights/:layer/:projection/:head.:format',
    kinds,
    place: headPlace.extend({ format: pictureFormat }),
    options: pictureOptions,
    answer: weightSlice,
  })
  serveFile(router, services, {
    path: '/weights/:layer/:projection/:head/difference.:format',
    kinds,
    place: headPlace.extend({ format: pictureFormat }),
    options: differenceOptions,
    answer: weightDifference,
  })
}

/** A head's slice as a NumPy file, float32 [rows, columns]. */
async function sliceArray({
  services,
  run,
  place,
}: AskedFile<SlicePlace & { head: number }, object>): Promise<RunFile> {
  const [matrix] = await requireMatrices(services.db, run, place)
  if (matrix === undefined) throw new Error('a slice that was found is not there')
  const shape = [matrix.rows, matrix.columns]
  return {
    type: 'application/octet-stream',
    body: Buffer.concat(
      [npyHeader('float32', shape), littleEndianBytes(matrix.values)],
      npyByteLength('float32', shape),
    ),
    name: `weights-L${place.layer}-${place.projection}-H${place.head}.npy`,
  }
}
