import { constants } from 'node:zlib'
import compression from 'compression'
import { Router } from 'express'
import { serveExports } from '../exports/export-files.ts'
import type { ExportServices } from '../exports/run-contents.ts'
import { refuseEmbedding, requireToken } from './access.ts'
import { serveAttentionFiles } from './attention-files.ts'
import { serveBenchmarkFiles } from './benchmark-files.ts'
import { startDrawing } from './drawing.ts'
import { serveTrendFiles } from './trend-files.ts'
import { serveWeightFiles } from './weight-files.ts'

export interface RunFiles {
  /** to be mounted at `/runs` */
  router: Router
  /** to be mounted at `/trends` */
  trends: Router
  close(): Promise<void>
}

/** Bytes that leave the packer at a time: each piece costs a turn of a thread. */
const packedAtOnce = 1 << 18

/** What a run holds as pictures, arrays and tiles: every address under `/runs/:id`; and the pictures of trends. */
export function serveRunFiles(services: ExportServices): RunFiles {
  const drawing = startDrawing()
  const [router, trends] = [Router(), Router()]
  const guards = [
    refuseEmbedding,
    requireToken(services.config),
    compression({
      // Probabilities as half-floats shrink by a tenth at any level: only time differs.
      level: 1,
      chunkSize: packedAtOnce,
      brotli: { params: { [constants.BROTLI_PARAM_QUALITY]: 1 }, chunkSize: packedAtOnce },
      // PNG and zip are compressed already; raw numbers a little less than text.
      filter: (request, response) =>
        response.getHeader('Content-Type') === 'application/octet-stream' || compression.filter(request, response),
    }),
  ]
  router.use(guards)
  trends.use(guards)
  serveAttentionFiles(router, { ...services, drawing })
  serveWeightFiles(router, { ...services, drawing })
  serveBenchmarkFiles(router, { ...services, drawing })
  serveExports(router, { ...services, drawing })
  serveTrendFiles(trends, { ...services, drawing })
  return { router, trends, close: () => drawing.close() }
}
