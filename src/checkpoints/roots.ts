import { realpath } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { AppError } from '../errors.ts'
import { quote } from './quote.ts'

/** Whether `path` is `folder` or lies in it. Both absolute, links resolved. */
export function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path)
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way))
}

interface Place {
  /** links resolved as far as the path exists */
  path: string
  exists: boolean
}

async function locate(path: string): Promise<Place> {
  try {
    return { path: await realpath(path), exists: true }
  } catch {
    if (dirname(path) === path) return { path, exists: false }
    const parent = await locate(dirname(path))
    return { path: join(parent.path, basename(path)), exists: false }
  }
}

/**
 * The real path of `path`, links resolved, if it lies in one of `roots`. A relative path is looked for in each root
 * first and then in the current folder. What lies outside is refused in the same words whether it exists or not.
 * @throws AppError PATH_FORBIDDEN outside every root, NOT_FOUND inside one but not there
 */
export async function confine(path: string, roots: readonly string[]): Promise<string> {
  if (path.includes('\0')) throw new AppError('PATH_FORBIDDEN', `${quote(path)} holds a zero byte`)
  const folders = await Promise.all(roots.map(async (root) => (await locate(resolve(root))).path))
  const candidates = isAbsolute(path) ? [path] : [...folders.map((folder) => resolve(folder, path)), resolve(path)]
  const places = await Promise.all(candidates.map(locate))
  const inside = places.filter((place) => folders.some((folder) => isInside(place.path, folder)))

  const found = inside.find((place) => place.exists)
  if (found) return found.path
  const named = roots.length > 0 ? roots.join(', ') : 'none are set'
  if (inside.length > 0 && !path.split(/[\\/]/).includes('..')) {
    throw new AppError('NOT_FOUND', `${path} does not exist in the model folders (${named})`, 'Check the spelling.')
  }
  throw new AppError(
    'PATH_FORBIDDEN',
    `${path} lies outside the folders that models may be read from (${named})`,
    'Move the model there, or add its folder to KVSCOPE_MODEL_ROOTS.',
  )
}
