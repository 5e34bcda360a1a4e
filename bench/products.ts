import { filledMatrix, openProducts, type Products } from '../src/bench/matrix-products.ts'
import type { Checkpoint, TensorEntry } from '../src/checkpoints/checkpoint.ts'
import { createGraph } from '../src/onnx/graph.ts'
import { matMul } from '../src/onnx/ops.ts'
import type { Tensor } from '../src/onnx/session.ts'

/**
 * [rows, in] x [in, out] for each of the weights, read from the checkpoint and packed at load as a model's are. Only the
 * last column of each product is fetched, so that no time goes into copying results.
 */
export async function openWeightProducts(
  weights: readonly TensorEntry[],
  rows: number,
  threads: number,
): Promise<Products> {
  const graph = createGraph({ fusedMatMul: true })
  const inputs = new Map<number, Tensor>()
  const columns = weights.map((entry, index) => {
    const [inner = 0, outer = 0] = entry.shape
    const { name, shape, file, offset, length } = entry
    if (!inputs.has(inner)) {
      inputs.set(inner, filledMatrix(rows, inner))
      graph.input(`x${inner}`, 'float32', [rows, inner])
    }
    const weight = graph.external({ name, type: 'float32', dims: shape, file, offset, length })
    const g = graph.at(`product${index}`)
    return g.node('Gather', [matMul(g, { name: `x${inner}` }, weight), g.integers([outer - 1])], {
      attributes: { axis: 1 },
    })
  })
  const joined = graph.node('Concat', columns, { attributes: { axis: 1 } })
  graph.output('y', joined, 'float32', [rows, weights.length])
  const feeds = Object.fromEntries([...inputs].map(([inner, tensor]) => [`x${inner}`, tensor]))
  const values = weights.reduce((sum, { shape: [inner = 0, outer = 0] }) => sum + inner * outer, 0)
  return openProducts(graph, feeds, { operations: 2 * rows * values, bytes: 4 * values }, threads)
}

/** The matrices that every token is multiplied by, the tied head left out: 1.2 GB in gpt2-medium. */
export function matricesOf({ tensors }: Checkpoint): TensorEntry[] {
  return [...tensors.values()].filter(({ name, shape }) => name.startsWith('h.') && shape.length === 2)
}

/** The tensor of that name, which has to be f32 and of two axes. */
export function weightOf(checkpoint: Checkpoint, name: string): TensorEntry {
  const entry = checkpoint.tensors.get(name)
  if (entry?.dtype === 'F32' && entry.shape.length === 2) return entry
  throw new Error(`${checkpoint.directory} holds no f32 matrix ${name}`)
}
