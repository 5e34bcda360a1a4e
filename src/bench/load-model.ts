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
export function loadSubjectModel(
  { checkpoint, config, device, threads }: Pick<PreparedSubject, 'checkpoint' | 'config' | 'device' | 'threads'>,
  cores: number,
): Promise<RunnableModel> {
  return loadModel(checkpoint, config, { provider: providerOf[device], threads: threads ?? cores })
}
