import type { ModelConfig } from '../architecture/model-config.ts'
import type { ExportedCheckpoint } from '../checkpoints/onnx-export.ts'
import { AppError } from '../errors.ts'
import { translateError } from '../onnx/runtime-error.ts'
import { decodeHalves } from '../render/half-float.ts'
import { checkTokens } from './check-tokens.ts'
import { loadTransformers, type Transformers } from './load-transformers.ts'
import type { Logits, RunnableModel } from './runner.ts'
import { createPastCache, firstRows, type PastCache, type PastTensor } from './transformers-js-cache.ts'

type PeerTensor = InstanceType<Transformers['Tensor']>

/**
 * Loads the ONNX export of a folder into transformers.js, to be measured as kvscope's own models are: the same tokens in
 * the same steps, each a forward pass of the library over its own cache, whose present tensors are the next step's past.
 * Like the library's `generate` it asks for the logits of the last position alone where the export knows how. Everything
 * comes from the folder: nothing is downloaded.
 * @throws AppError CONFIG_UNSUPPORTED for model types that the library does not know, CHECKPOINT_INVALID where it cannot
 * load the graph, OUT_OF_MEMORY
 */
export async function loadExport(
  { directory, export: { file, graphName, dtype, cached } }: ExportedCheckpoint,
  config: ModelConfig,
  threads: number,
): Promise<RunnableModel<PastCache<PeerTensor>>> {
  const { AutoModelForCausalLM, DynamicCache, Tensor } = await loadTransformers()
  const model = await AutoModelForCausalLM.from_pretrained(directory, {
    local_files_only: true,
    model_file_name: graphName,
    dtype,
    device: 'cpu',
    // The runtime finds the weights beside the graph by itself, and they were looked for when the folder was opened.
    use_external_data_format: false,
    session_options: {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      // As our own sessions: threads that spin after a run would slow whichever subject comes next.
      extra: { session: { force_spinning_stop: '1' } },
    },
  }).catch((error: unknown) => {
    throw loadError(error, file)
  })
  const integers = (values: BigInt64Array, dims: number[]) => new Tensor('int64', values, dims)
  const cut = (tensor: PeerTensor, rows: number) => {
    const bytes = firstRows(viewOf(tensor), rows)
    const data = tensor.type === 'float16' ? new Uint16Array(bytes.buffer) : new Float32Array(bytes.buffer)
    return new Tensor(tensor.type, data, tensor.dims.with(-2, rows))
  }

  return {
    config,
    createCache: (batch = 1) => createPastCache(batch, cached === 'F16' ? 16 : 32, cut),
    async forward(tokens, cache) {
      const count = checkTokens(tokens, cache, config)
      const length = cache.length + count
      const past = cache.feeds()
      const outputs: unknown = await model
        .forward({
          input_ids: integers(BigInt64Array.from(tokens.flat(), BigInt), [cache.batch, count]),
          attention_mask: integers(new BigInt64Array(cache.batch * length).fill(1n), [cache.batch, length]),
          past_key_values: past === null ? null : new DynamicCache({ ...past }),
          num_logits_to_keep: integers(BigInt64Array.of(1n), []),
        })
        .catch((error: unknown) => {
          throw translateError(error, 'running the export', 'cpu')
        })
      const present: Record<string, PeerTensor> = {}
      let logits: PeerTensor | null = null
      for (const [name, tensor] of Object.entries(outputs ?? {})) {
        if (!(tensor instanceof Tensor)) continue
        if (name.startsWith('present')) present[name.replace('present', 'past_key_values')] = tensor
        if (name === 'logits') logits = tensor
      }
      cache.replace(present, length)
      return { ...lastLogits(logits, file), attention: [] }
    },
    async close() {
      await model.dispose()
    },
  }
}

function loadError(error: unknown, file: string): AppError {
  const text = error instanceof Error ? error.message : String(error)
  if (/unsupported model type/i.test(text)) {
    return new AppError(
      'CONFIG_UNSUPPORTED',
      `${file}: transformers.js says: ${text}`,
      'Take a model of a type that transformers.js knows, or runtime KVSCOPE.',
      error,
    )
  }
  const translated = translateError(error, `loading ${file} with transformers.js`, 'cpu')
  if (translated.code !== 'INTERNAL') return translated
  return new AppError(
    'CHECKPOINT_INVALID',
    translated.message,
    'Export the model again, or take runtime KVSCOPE.',
    error,
  )
}

/** @throws AppError INTERNAL where a tensor is not in this process's memory */
function viewOf({ type, dims, data }: PeerTensor): PastTensor {
  if (!ArrayBuffer.isView(data)) throw new AppError('INTERNAL', `transformers.js returned a ${type} that is no array`)
  return { type, dims, data }
}

/** Of exports that compute the logits of every position only the last one's are kept: [batch, 1, vocabulary] in float32. */
function lastLogits(tensor: PeerTensor | null, file: string): Pick<Logits, 'data' | 'dims'> {
  if (tensor === null) throw new AppError('CHECKPOINT_INVALID', `${file} returns no logits`, 'Export the model again.')
  const { data, dims, type } = viewOf(tensor)
  const [batch = 0, positions = 0, vocabulary = 0] = dims
  const last = new Float32Array(batch * vocabulary)
  for (let index = 0; index < batch; index += 1) {
    const start = ((index + 1) * positions - 1) * vocabulary
    const row = last.subarray(index * vocabulary, (index + 1) * vocabulary)
    if (type === 'float16') decodeHalves(new Uint16Array(data.buffer, data.byteOffset + 2 * start, vocabulary), row)
    else row.set(new Float32Array(data.buffer, data.byteOffset + 4 * start, vocabulary))
  }
  return { data: last, dims: [batch, 1, vocabulary] }
}
