import { AppError } from '../errors.ts'
import type { ReportBlock } from '../render/report.ts'
import type { ApiClient } from './client.ts'

/** Any tag but those that pictures are drawn with. */
const foreignTag = /<(?!\/?(svg|title|desc|defs|pattern|rect|path|g|text|tspan|circle|line|image|clipPath)[\s>/])/

/**
 * A picture as the API draws it, to stand in a page.
 * @throws AppError as the client does; INTERNAL where the server answers with more than a drawing
 */
export async function fetchPicture(client: ApiClient, path: string, caption?: string): Promise<ReportBlock> {
  const svg = new TextDecoder().decode(await client.file(path)).trim()
  const drawing = svg.startsWith('<svg ') && svg.endsWith('</svg>') && !foreignTag.test(svg)
  if (!drawing) throw new AppError('INTERNAL', `${client.address}${path} is no picture of kvscope's`)
  return { of: 'picture', svg, ...(caption !== undefined && { caption }) }
}
