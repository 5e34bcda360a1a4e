import { writePeerExport } from '../../bench/peer-folder.ts'
import type { PeerGraphOptions } from '../../bench/peer-graph.ts'
import { readModelConfig } from '../../src/architecture/read-config.ts'
import { openCheckpoint } from '../../src/checkpoints/open.ts'
import { writeTinyCheckpoint } from './tiny-checkpoint.ts'

/** The tiny checkpoint with an ONNX export of its own in onnx/, whose weights are the same bytes. */
export async function writeExportedCheckpoint(
  folder: string,
  options: Omit<PeerGraphOptions, 'weightsFile'> = { attention: 'decomposed', logits: 'all' },
): Promise<string> {
  await writeTinyCheckpoint(folder)
  const checkpoint = await openCheckpoint(folder)
  const config = readModelConfig(checkpoint.config, 'tiny')
  await writePeerExport(folder, { checkpoint, config }, options)
  return folder
}
