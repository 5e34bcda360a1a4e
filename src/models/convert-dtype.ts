import { createHash } from 'node:crypto'
import { expectedTensors } from '../architecture/expected-tensors.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import type { Checkpoint, TensorEntry, WeightDtype } from '../checkpoints/checkpoint.ts'
import { readValues } from '../checkpoints/read-tensor.ts'
import type { TensorToWrite } from '../checkpoints/write-safetensors.ts'
import { derivedFile, derivedMetadata, openDerived } from './derived-weights.ts'
import type { OpenedModel } from './synthetic.ts'

/** Part of every copy's identity: change it whenever the numbers change. */
const roundingVersion = 1

/** The file of a checkpoint's copy in another dtype, whether it has been written yet or not. */
export function dtypeFile(checkpoint: Checkpoint, dtype: WeightDtype, dataDir: string): string {
  return derivedFile(checkpoint, dtype.toLowerCase(), dataDir)
}

/**
 * A checkpoint whose weights are of one dtype: rounded to nearest with ties to even, or widened, which loses nothing. The
 * tensors that the model reads and that are stored otherwise are written, once, into one file of the data folder; the
 * others stay where the source has them. Where all are of that dtype already the source itself comes back.
 * @param onProgress told the share of the bytes written, 0 to 1; never called where nothing is written
 * @throws AppError CONFIG_UNSUPPORTED naming the tensor where a value is too large for the dtype, CHECKPOINT_INVALID,
 * OUT_OF_DISK
 */
export async function convertDtype(
  checkpoint: Checkpoint,
  config: ModelConfig,
  dtype: WeightDtype,
  dataDir: string,
  onProgress?: (fraction: number) => void,
): Promise<OpenedModel> {
  const others = expectedTensors(config).flatMap(({ name }) => {
    const stored = checkpoint.tensors.get(name)
    return stored === undefined || stored.dtype === dtype ? [] : [copyOf(stored, dtype)]
  })
  if (others.length === 0) return { checkpoint, config }
  const conversion = `${dtype.toLowerCase()}/${roundingVersion}`
  const entries = await openDerived(
    dtypeFile(checkpoint, dtype, dataDir),
    derivedMetadata(checkpoint, conversion),
    others,
    onProgress,
  )
  return {
    checkpoint: {
      ...checkpoint,
      tensors: new Map([...checkpoint.tensors, ...entries]),
      fingerprint: createHash('sha256').update(`${checkpoint.fingerprint}\0${conversion}`).digest('hex'),
    },
    config,
  }
}

/** A tensor to write, read piece by piece: no tensor stands whole in memory. */
function copyOf(source: TensorEntry, dtype: WeightDtype): TensorToWrite {
  const { name, shape } = source
  return {
    name,
    shape,
    dtype,
    async fill(out, start) {
      out.set(await readValues(source, start, out.length))
    },
  }
}
