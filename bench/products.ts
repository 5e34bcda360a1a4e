import { now } from '../src/bench/clock.ts'
import type { Checkpoint, TensorEntry } from '../src/checkpoints/checkpoint.ts'
import { createGraph } from '../src/onnx/graph.ts'
import { encodeModel } from '../src/onnx/model-proto.ts'
import { matMul } from '../src/onnx/ops.ts'
import { openSession, type Tensor } from '../src/onnx/session.ts'

/** One graph of nothing but matrix products, timed by itself. */
export interface Products {
  /** floating-point operations of one run */
  operations: number
  /** bytes of the right-hand matrices, which one run reads once */
  bytes: number
  /** seconds of one run */
  run(): Promise<number>
  close(): Promise<void>
}

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
      inputs.set(inner, matrix(rows, inner))
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
  return open(graph, feeds, { operations: 2 * rows * values, bytes: 4 * values }, threads)
}

/** [rows, inner] x [inner, columns] of matrices held by JavaScript, which the runtime reads in place. */
export async function openPlainProduct(
  { rows, inner, columns }: { rows: number; inner: number; columns: number },
  threads: number,
): Promise<Products> {
  const graph = createGraph({ fusedMatMul: true })
  const product = matMul(
    graph,
    graph.input('a', 'float32', [rows, inner]),
    graph.input('b', 'float32', [inner, columns]),
  )
  graph.output(
    'y',
    graph.node('Gather', [product, graph.integers([columns - 1])], { attributes: { axis: 1 } }),
    'float32',
    [rows, 1],
  )
  const work = { operations: 2 * rows * inner * columns, bytes: 4 * inner * columns }
  return open(graph, { a: matrix(rows, inner), b: matrix(inner, columns) }, work, threads)
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

async function open(
  graph: ReturnType<typeof createGraph>,
  feeds: Readonly<Record<string, Tensor>>,
  work: { operations: number; bytes: number },
  threads: number,
): Promise<Products> {
  const model = encodeModel(graph.finish())
  const session = await openSession(model.bytes, { files: model.files, provider: 'cpu', threads })
  return {
    ...work,
    async run() {
      const start = now()
      await session.run(feeds, ['y'])
      return (now() - start) / 1000
    },
    close: () => session.close(),
  }
}

function matrix(height: number, width: number): Tensor {
  const data = new Float32Array(height * width)
  for (let index = 0; index < data.length; index += 1) data[index] = ((index * 7919) % 1000) / 1000 - 0.5
  return { type: 'float32', data, dims: [height, width] }
}
