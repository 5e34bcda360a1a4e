import { z } from 'zod'
import type { Drawing } from './drawing.ts'
import { fileOptions } from './file-route.ts'
import type { Picture } from './picture.ts'
import type { RunFile } from './send-file.ts'

export const pictureFormat = z.enum(['svg', 'png'])
export type PictureFormat = z.infer<typeof pictureFormat>

/** What every picture can be asked for besides its own. */
export const pictureShape = {
  theme: z.enum(['light', 'dark'], { error: 'it is light or dark' }).default('light'),
  /** pixels of a PNG a unit of the SVG */
  scale: z.enum(['1', '2', '3'], { error: 'it is 1, 2 or 3' }).default('1').transform(Number),
}
export const pictureOptions = fileOptions(pictureShape)
export type PictureOptions = z.infer<typeof pictureOptions>

/** Draws a picture in the format that the address names. `name` is without the suffix. */
export async function pictureFile(
  drawing: Drawing,
  picture: Picture,
  format: PictureFormat,
  { scale }: PictureOptions,
  name: string,
): Promise<RunFile> {
  return {
    type: format === 'svg' ? 'image/svg+xml; charset=utf-8' : 'image/png',
    body: await drawing.draw({ picture, format, scale }),
    name: `${name}.${format}`,
  }
}
