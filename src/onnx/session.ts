import { InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-node'
import { AppError } from '../errors.ts'
import { commonFolder } from './model-proto.ts'
import { translateError } from './runtime-error.ts'

/** What computes a graph, in onnxruntime's spelling. */
export type ExecutionProvider = 'cpu' | 'cuda' | 'webgpu' | 'coreml' | 'dml'

/** A tensor outside the runtime: row-major values and their sizes. float16 is its bits in 16-bit words. */
export type Tensor =
  | { readonly type: 'float32'; readonly data: Float32Array; readonly dims: readonly number[] }
  | { readonly type: 'float16'; readonly data: Uint16Array; readonly dims: readonly number[] }
  | { readonly type: 'int32'; readonly data: Int32Array; readonly dims: readonly number[] }
  | { readonly type: 'int64'; readonly data: BigInt64Array; readonly dims: readonly number[] }
  | { readonly type: 'bool'; readonly data: Uint8Array; readonly dims: readonly number[] }

export interface SessionOptions {
  /** The files that the graph's external weights lie in, absolute, links resolved. */
  files: readonly string[]
  provider: ExecutionProvider
  /** Threads inside one operator; null: one for each physical core. */
  threads: number | null
  /** An operator that the provider lacks is an error, not a silent fallback to the CPU. */
  withoutCpuFallback?: boolean
  /**
   * Weights stay in the files' pages, which the system shares and gives back, in place of a copy in the order that the
   * runtime's products read best: a load of no time and no memory, and every product after it slower.
   */
  mapped?: boolean
}

/** A graph that the runtime has loaded. `run` blocks the event loop while it computes. */
export interface Session {
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /**
   * Computes the named outputs. Feeds are read in place; every output is a fresh array of the caller's.
   * @throws AppError OUT_OF_MEMORY, INTERNAL
   */
  run(feeds: Readonly<Record<string, Tensor>>, outputs: readonly string[]): Promise<Record<string, Tensor>>
  close(): Promise<void>
}

/** Only errors: the graphs draw a warning about shapes that means nothing here. */
const logErrors = 3

/**
 * Loads an ONNX model held in memory, whose external weights lie in `files`.
 * @throws AppError OUT_OF_MEMORY, DEVICE_UNAVAILABLE, CHECKPOINT_INVALID, INTERNAL
 */
export async function openSession(model: Uint8Array, options: SessionOptions): Promise<Session> {
  // A session's threads spin after each run, waiting for the next. Where several models take turns they spin on the cores
  // that the next one computes on: on two cores decode took 1.5 times as long, in half of the trials. Within a run they
  // still spin, so one model alone is as fast as before.
  const entries: Record<string, string> = { force_spinning_stop: '1' }
  if (options.files.length > 0) {
    entries.model_external_initializers_file_folder_path = commonFolder(options.files)
  }
  if (options.mapped) entries.disable_prepacking = '1'
  if (options.withoutCpuFallback) entries.disable_cpu_ep_fallback = '1'
  const session = await InferenceSession.create(model, {
    executionProviders: [options.provider],
    interOpNumThreads: 1,
    logSeverityLevel: logErrors,
    extra: { session: entries },
    ...(options.threads === null ? {} : { intraOpNumThreads: options.threads }),
  }).catch((error: unknown) => {
    throw translateError(error, 'loading the model', options.provider)
  })

  return {
    inputs: session.inputNames,
    outputs: session.outputNames,
    run: async (feeds, outputs) => {
      try {
        const results = await session.run(
          Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, toRuntime(tensor)])),
          outputs,
        )
        return Object.fromEntries(Object.entries(results).map(([name, value]) => [name, fromRuntime(name, value)]))
      } catch (error) {
        throw translateError(error, 'running the model', options.provider)
      }
    },
    close: () => session.release(),
  }
}

function toRuntime(tensor: Tensor): RuntimeTensor {
  switch (tensor.type) {
    case 'float16':
      return new RuntimeTensor('float16', tensor.data, tensor.dims)
    case 'bool':
      return new RuntimeTensor('bool', tensor.data, tensor.dims)
    default:
      return new RuntimeTensor(tensor.data, tensor.dims)
  }
}

function fromRuntime(name: string, { type, data, dims }: RuntimeTensor): Tensor {
  if (type === 'float32' && data instanceof Float32Array) return { type, data, dims }
  if (type === 'float16' && data instanceof Uint16Array) return { type, data, dims }
  if (type === 'int32' && data instanceof Int32Array) return { type, data, dims }
  if (type === 'int64' && data instanceof BigInt64Array) return { type, data, dims }
  if (type === 'bool' && data instanceof Uint8Array) return { type, data, dims }
  throw new AppError('INTERNAL', `output ${name} is of type ${type}, which no graph of kvscope returns`)
}
