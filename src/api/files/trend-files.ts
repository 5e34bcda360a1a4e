import type { Router } from 'express'
import { AppError } from '../../errors.ts'
import { readTrend } from '../trends.ts'
import { drawWhileWanted, type FileServices, parseOptions } from './file-route.ts'
import { pictureFile, pictureFormat } from './picture-file.ts'
import { sendFile } from './send-file.ts'
import { trendOptions } from './trend-options.ts'
import { trendPicture } from './trend-picture.ts'

/** The picture of a series over its runs, at `/chart.svg` and `/chart.png`. New runs change it: nobody may keep it. */
export function serveTrendFiles(router: Router, services: FileServices): void {
  router.get('/chart.:format', async (request, response) => {
    const format = pictureFormat.safeParse(request.params.format)
    if (!format.success) {
      throw new AppError(
        'NOT_FOUND',
        `no trend is drawn as ${request.params.format}`,
        'Ask for chart.svg or chart.png.',
      )
    }
    const { theme, scale, ...input } = parseOptions(trendOptions, request.query)
    const trend = await readTrend(services.db, input)
    const picture = { ...(await trendPicture(services.db, trend, input)), theme }
    const { drawing } = drawWhileWanted(services, response)
    const file = await pictureFile(drawing, { of: 'trend', picture }, format.data, { theme, scale }, 'trend')
    await sendFile(request, response, file, null, services.log)
  })
}
