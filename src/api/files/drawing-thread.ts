import { parentPort } from 'node:worker_threads'
import { AppError, type ErrorRecord, toErrorRecord } from '../../errors.ts'
import { renderPng } from '../../render/png.ts'
import { drawPicture, type Picture } from './picture.ts'

/** What the API's thread asks of the one that draws. */
export interface DrawingRequest {
  picture: Picture
  format: 'svg' | 'png'
  /** pixels a unit of the SVG */
  scale: number
}

/** A drawn picture; where it could not be drawn, why. `known` is an error that whoever asked can act on. */
export type DrawingAnswer = { drawn: Uint8Array<ArrayBuffer> } | { known: ErrorRecord } | { unknown: unknown }

parentPort?.on('message', async (request: DrawingRequest) => {
  const answer = await answerTo(request)
  parentPort?.postMessage(answer, 'drawn' in answer ? [answer.drawn.buffer] : [])
})

async function answerTo({ picture, format, scale }: DrawingRequest): Promise<DrawingAnswer> {
  try {
    const svg = drawPicture(picture)
    return { drawn: format === 'svg' ? new TextEncoder().encode(svg) : new Uint8Array(await renderPng(svg, { scale })) }
  } catch (error) {
    return error instanceof AppError ? { known: toErrorRecord(error) } : { unknown: error }
  }
}
