import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Request, Response } from 'express'
import type { Logger } from '../../log.ts'
import type { Caching } from './caching.ts'

/** What an address answers with. */
export interface RunFile {
  /** media type */
  type: string
  /** a whole, or pieces that are made as the client takes them */
  body: string | Uint8Array | AsyncIterable<Uint8Array>
  /** bytes of a body in pieces, where they are known before */
  length?: number
  /** what browsers save it as; of letters, digits, dots and dashes */
  name?: string
  /** to be saved, not shown */
  attached?: true
}

/** An SVG that is opened by itself is a page of this server: it may show what it holds, and neither run nor fetch anything. */
const svgPolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"

/** A client that takes nothing for so long is held to have gone: it keeps a socket, and in memory what it has not taken. */
const mostIdleMs = 300_000

/** Sends a file, or to HEAD what it would be. A client that goes away ends the making of its pieces. */
export async function sendFile(
  request: Request,
  response: Response,
  file: RunFile,
  caching: Caching | null,
  log: Logger,
): Promise<void> {
  const whole = typeof file.body === 'string' ? Buffer.from(file.body) : file.body
  const length = whole instanceof Uint8Array ? whole.byteLength : file.length
  response.set({
    'Content-Type': file.type,
    ...(file.type.startsWith('image/svg') && { 'Content-Security-Policy': svgPolicy }),
    ...(file.name !== undefined && {
      'Content-Disposition': `${file.attached ? 'attachment' : 'inline'}; filename="${file.name}"`,
    }),
    ...(length !== undefined && { 'Content-Length': String(length) }),
    ...caching,
  })
  if (request.method === 'HEAD') return void response.end()
  response.setTimeout(mostIdleMs, () => response.destroy())
  if (whole instanceof Uint8Array) return void response.end(whole)
  try {
    await pipeline(Readable.from(whole), response)
  } catch (error) {
    if (request.destroyed || response.closed) return
    // Its status is sent already: an answer cut short is all that can tell.
    log.error({ err: error, path: request.path }, 'a file could not be sent to its end')
    response.destroy()
  }
}
