import { AppError } from '../errors.ts'

const allocationFailed = /bad[_ ]alloc|failed to allocate|allocation failed|out of memory|cannot allocate/i
const providerMissing =
  /backend not found|no available backend|shared library|no supported adapters|webgpu adapter|cuda driver|no cuda/i
const weightsUnreadable = /external (initializer|data)|external_data/i

/**
 * onnxruntime throws plain Errors; their text is all there is to tell them apart by.
 * @param doing what was tried: `loading the model`
 * @returns AppError OUT_OF_MEMORY, DEVICE_UNAVAILABLE, CHECKPOINT_INVALID, INTERNAL
 */
export function translateError(error: unknown, doing: string, provider: string): AppError {
  if (error instanceof AppError) return error
  const text = (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').trim()
  const message = `${doing} on ${provider}: ${text}`
  if (allocationFailed.test(text)) {
    return new AppError('OUT_OF_MEMORY', message, 'Take a smaller model, batch or context, or free memory.', error)
  }
  if (providerMissing.test(text)) {
    return new AppError('DEVICE_UNAVAILABLE', message, 'Take another device, or install what this one needs.', error)
  }
  if (weightsUnreadable.test(text)) {
    return new AppError(
      'CHECKPOINT_INVALID',
      message,
      'Check that the weight files are whole and where they were.',
      error,
    )
  }
  return new AppError('INTERNAL', message, null, error)
}
