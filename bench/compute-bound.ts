import type { ModelConfig } from '../src/architecture/model-config.ts'
import { parameterCount } from '../src/architecture/parameters.ts'
import { now } from '../src/bench/clock.ts'
import { createGraph } from '../src/onnx/graph.ts'
import { encodeModel } from '../src/onnx/model-proto.ts'
import { matMul } from '../src/onnx/ops.ts'
import { openSession, type Tensor } from '../src/onnx/session.ts'

/** Rows, inner size and columns of the products tried; the first is the model's own widest at 512 tokens. */
const shapes = [
  [512, 1024, 4096],
  [512, 4096, 1024],
  [2048, 2048, 2048],
] as const

export interface ComputeProbe {
  /** floating-point operations a second of one product of each shape; the best is the bound */
  measure(): Promise<number>
  close(): Promise<void>
}

/** Large matrix products by the same runtime and threads as the model's. */
export async function openComputeProbe(threads: number): Promise<ComputeProbe> {
  const graph = createGraph({ fusedMatMul: true })
  const product = matMul(graph, graph.input('a', 'float32', ['M', 'K']), graph.input('b', 'float32', ['K', 'N']))
  graph.output('c', product, 'float32', ['M', 'N'])
  const session = await openSession(encodeModel(graph.finish()).bytes, { files: [], provider: 'cpu', threads })
  const feeds = shapes.map(([rows, inner, columns]) => ({ a: matrix(rows, inner), b: matrix(inner, columns) }))
  return {
    async measure() {
      let best = 0
      for (const [index, [rows, inner, columns]] of shapes.entries()) {
        const start = now()
        await session.run(feeds[index] ?? {}, ['c'])
        best = Math.max(best, (2 * rows * inner * columns) / ((now() - start) / 1000))
      }
      return best
    },
    close: () => session.close(),
  }
}

/**
 * Floating-point operations of a forward pass of `tokens` tokens without a cache: two for each weight of a matrix
 * product and token (the embedding tables are looked up, the head runs for the last position), and four for each query,
 * key and value width of attention, whose scores are computed in full and masked.
 */
export function prefillOperations(config: ModelConfig, tokens: number): number {
  const { vocabularySize, contextLength, hiddenSize, layers, heads, headDim } = config
  const embeddings = (vocabularySize + contextLength) * hiddenSize
  const products = 2 * (parameterCount(config) - embeddings) * tokens
  const attention = 4 * layers * heads * headDim * tokens * tokens
  return products + attention + 2 * vocabularySize * hiddenSize
}

function matrix(rows: number, columns: number): Tensor {
  const data = Float32Array.from({ length: rows * columns }, (_, index) => ((index * 7919) % 1000) / 1000 - 0.5)
  return { type: 'float32', data, dims: [rows, columns] }
}
