import { AppError } from '../errors.ts'
import type { Device } from '../jobs/glossary.ts'
import { loadModel, type RunnableModel } from '../models/runner.ts'
import type { ExecutionProvider } from '../onnx/session.ts'
import type { PreparedSubject } from './open-subjects.ts'

/** A subject's device in the runtime's spelling. */
export const providerOf = {
  CPU: 'cpu',
  CUDA: 'cuda',
  WEBGPU: 'webgpu',
  COREML: 'coreml',
  DIRECTML: 'dml',
} as const satisfies Record<Device, ExecutionProvider>

/**
 * Loads an opened subject into the runtime that it asks for.
 * @param cores threads of a subject that names none
 * @throws AppError CONFIG_UNSUPPORTED, CHECKPOINT_INVALID, DEVICE_UNAVAILABLE, OUT_OF_MEMORY
 */
export async function loadSubjectModel(
  {
    checkpoint,
    config,
    exported,
    device,
    threads,
  }: Pick<PreparedSubject, 'checkpoint' | 'config' | 'exported' | 'device' | 'threads'>,
  cores: number,
): Promise<RunnableModel> {
  if (exported === null) {
    return loadModel(checkpoint, config, { provider: providerOf[device], threads: threads ?? cores })
  }
  if (device !== 'CPU') {
    throw new AppError(
      'CONFIG_UNSUPPORTED',
      `runtime TRANSFORMERS_JS on ${device}: it is run on the CPU, where its cache can be measured`,
      'Ask for device CPU, or take runtime KVSCOPE.',
    )
  }
  // Importing it maps a second copy of the runtime's bindings into the process: only where it is asked for.
  const { loadExport } = await import('../models/transformers-js.ts')
  return loadExport(exported, config, threads ?? cores)
}
