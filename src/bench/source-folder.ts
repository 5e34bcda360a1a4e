import { confine } from '../checkpoints/roots.ts'
import { AppError } from '../errors.ts'
import type { SubjectSpec } from '../jobs/spec.ts'

/**
 * The folder of a source that is no preset. Hub models are brought into the cache before anything here begins, and their
 * folders take their place (jobs/hub-sources).
 * @throws AppError PATH_FORBIDDEN, NOT_FOUND; INTERNAL for a hub model
 */
export function folderOfSource(
  source: Exclude<SubjectSpec['source'], { synthetic: unknown }>,
  modelRoots: readonly string[],
): Promise<string> {
  if ('local' in source) return confine(source.local.path, modelRoots)
  throw new AppError('INTERNAL', `${source.hub.repo} was to be opened before it was fetched`)
}
