import { createGraph } from '../onnx/graph.ts'
import { encodeModel } from '../onnx/model-proto.ts'
import { matMul } from '../onnx/ops.ts'
import { openSession, type Tensor } from '../onnx/session.ts'
import { now } from './clock.ts'

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
  // One column of the product alone is fetched, so that no time goes into copying results.
  graph.output(
    'y',
    graph.node('Gather', [product, graph.integers([columns - 1])], { attributes: { axis: 1 } }),
    'float32',
    [rows, 1],
  )
  const work = { operations: 2 * rows * inner * columns, bytes: 4 * inner * columns }
  return openProducts(graph, { a: filledMatrix(rows, inner), b: filledMatrix(inner, columns) }, work, threads)
}

/** Loads a graph of products whose result is `y`. */
export async function openProducts(
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

/** Numbers of ordinary size, which differ. */
export function filledMatrix(height: number, width: number): Tensor {
  const data = new Float32Array(height * width)
  for (let index = 0; index < data.length; index += 1) data[index] = ((index * 7919) % 1000) / 1000 - 0.5
  return { type: 'float32', data, dims: [height, width] }
}
