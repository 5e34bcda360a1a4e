import type * as library from '@huggingface/transformers'

/** The library transformers.js. */
export type Transformers = typeof library

/**
 * Loads transformers.js for files of this machine alone: it downloads nothing, caches nothing and prints nothing (it
 * would print whole tensors where a run fails). Importing it maps onnxruntime and sharp into the process, so only where
 * it is asked for.
 */
export async function loadTransformers(): Promise<Transformers> {
  const transformers = await import('@huggingface/transformers')
  const { env, LogLevel } = transformers
  env.allowRemoteModels = false
  env.allowLocalModels = true
  env.useFSCache = false
  env.useBrowserCache = false
  env.logLevel = LogLevel.NONE
  return transformers
}
