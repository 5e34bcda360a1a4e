import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { gather, matMulTransposed } from '../onnx/ops.ts'
import type { ModelBuilder } from './family.ts'

/** Rows of an embedding table [rows, width]: ids [...] -> [..., width] */
export function embed(model: ModelBuilder, g: GraphBuilder, ids: Value, name: string, rows: number): Value {
  return gather(g, model.weight(name, [rows, model.config.hiddenSize]), ids)
}

/**
 * Hidden state [B, S, hiddenSize] -> logits [B, S, vocabulary]. A tied head reads the embedding table itself, [vocabulary,
 * hiddenSize], transposed inside the product: there is no second copy (Press and Wolf 2017).
 */
export function languageModelHead(model: ModelBuilder, g: GraphBuilder, x: Value, table: string, head: string): Value {
  const { tiedEmbeddings, vocabularySize, hiddenSize } = model.config
  return matMulTransposed(g, x, model.weight(tiedEmbeddings ? table : head, [vocabularySize, hiddenSize]), 2)
}
