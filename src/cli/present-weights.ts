import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { openCheckpoint } from '../checkpoints/open.ts'
import type { SubjectSpec } from '../jobs/spec.ts'
import { conversionFile } from '../models/convert.ts'
import { syntheticFolder } from '../models/synthetic.ts'

/** Bytes of the synthetic weights and conversions of these very subjects that the data folder holds already. */
export async function presentWeightBytes(subjects: readonly SubjectSpec[], dataDir: string): Promise<number> {
  const files = new Set<string>()
  for (const { source, convert } of subjects) {
    if ('hub' in source) continue
    const folder = 'synthetic' in source ? syntheticFolder(source.synthetic, dataDir) : source.local.path
    if ('synthetic' in source) files.add(join(folder, 'model.safetensors'))
    if (convert === null) continue
    // A conversion is named by the fingerprint of its source: without a source, there is none that would be used.
    const checkpoint = await openCheckpoint(folder).catch(() => null)
    if (checkpoint !== null) files.add(conversionFile(checkpoint, convert, dataDir))
  }
  const sizes = await Promise.all([...files].map((file) => stat(file).catch(() => null)))
  return sizes.reduce((sum, found) => sum + (found?.size ?? 0), 0)
}
