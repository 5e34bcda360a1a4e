import { copyFile, link, mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { OpenedModel } from '../src/models/synthetic.ts'
import { buildPeerGraph, type PeerGraphOptions } from './peer-graph.ts'

type GraphOptions = Omit<PeerGraphOptions, 'weightsFile'>

/** Writes a peer's graph into a folder that transformers.js reads, which is made anew. */
export async function writePeerFolder(folder: string, subject: OpenedModel, options: GraphOptions): Promise<string> {
  await rm(folder, { recursive: true, force: true })
  const file = await writePeerExport(folder, subject, options)
  const external = { use_external_data_format: { 'model.onnx': 1 } }
  const config = { ...subject.config.raw, 'transformers.js_config': external }
  await writeFile(join(folder, 'config.json'), JSON.stringify(config))
  await writeFile(join(folder, 'generation_config.json'), JSON.stringify({ bos_token_id: 50256, eos_token_id: 50256 }))
  return file
}

/**
 * Writes a folder's onnx/, as an export of the checkpoint: the graph, and the weights as a hard link, where links can be
 * made.
 */
export async function writePeerExport(
  folder: string,
  { checkpoint, config }: OpenedModel,
  options: GraphOptions,
): Promise<string> {
  const weights = checkpoint.tensors.get('wte.weight')
  if (!weights) throw new Error(`${checkpoint.directory} holds no wte.weight`)
  const file = join(folder, 'onnx', options.elementType === 'float16' ? 'model_fp16.onnx' : 'model.onnx')
  const weightsFile = `${file}_data`
  await mkdir(dirname(file), { recursive: true })
  await link(weights.file, weightsFile).catch(() => copyFile(weights.file, weightsFile))
  await writeFile(file, buildPeerGraph(checkpoint, config, { ...options, weightsFile }))
  return file
}
