import type { Router } from 'express'
import { z } from 'zod'
import { layerRange, mapArray, overviewBytes, tileBytes } from './attention-bytes.ts'
import { attentionGrid, attentionMap, diversityMatrix } from './attention-pictures.ts'
import { type FileServices, fileOptions, serveFile, wholeNumber } from './file-route.ts'
import { pictureFormat, pictureOptions } from './picture-file.ts'

const kinds = ['ATTENTION_MAPS'] as const
const layerPlace = z.object({ prompt: wholeNumber, layer: wholeNumber })
const headPlace = layerPlace.extend({ head: wholeNumber })

const overviewOptions = fileOptions({ layers: layerRange.optional() })
const tileOptions = fileOptions({
  statistic: z.enum(['mean', 'maximum'], { error: 'it is mean or maximum' }).default('mean'),
})

/** Overviews, tiles, arrays and pictures of attention maps. */
export function serveAttentionFiles(router: Router, services: FileServices): void {
  serveFile(router, services, {
    path: '/attention/diversity/:layer.:format',
    kinds,
    place: z.object({ layer: wholeNumber, format: pictureFormat }),
    options: pictureOptions,
    answer: diversityMatrix,
  })
  serveFile(router, services, {
    path: '/attention/:prompt/overview.u8',
    kinds,
    place: z.object({ prompt: wholeNumber }),
    options: overviewOptions,
    answer: overviewBytes,
  })
  serveFile(router, services, {
    path: '/attention/:prompt/:layer/grid.:format',
    kinds,
    place: layerPlace.extend({ format: pictureFormat }),
    options: pictureOptions,
    answer: attentionGrid,
  })
  serveFile(router, services, {
    path: '/attention/:prompt/:layer/:head.npy',
    kinds,
    place: headPlace,
    options: fileOptions({}),
    answer: mapArray,
  })
  serveFile(router, services, {
    path: '/attention/:prompt/:layer/:head.:format',
    kinds,
    place: headPlace.extend({ format: pictureFormat }),
    options: pictureOptions,
    answer: attentionMap,
  })
  serveFile(router, services, {
    path: '/attention/:prompt/:layer/:head/:level/:row/:column.:dtype',
    kinds,
    place: headPlace.extend({
      level: wholeNumber,
      row: wholeNumber,
      column: wholeNumber,
      dtype: z.enum(['f16', 'f32']),
    }),
    options: tileOptions,
    answer: tileBytes,
  })
}
