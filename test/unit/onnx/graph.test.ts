import { join, resolve } from 'node:path'
import { fromBinary } from '@bufbuild/protobuf'
import { ModelProtoSchema } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { createGraph } from '../../../src/onnx/graph.ts'
import { commonFolder, encodeModel } from '../../../src/onnx/model-proto.ts'
import { add, matMul, split } from '../../../src/onnx/ops.ts'

const graph = () => createGraph({ fusedMatMul: true })

describe('a graph', () => {
  it('names nodes by their path, and numbers those that a path holds again', () => {
    const g = graph()
    const x = g.input('x', 'float32', ['S', 4])
    const layer = g.at('model').at('layers.0').at('attn')
    matMul(layer.at('q_proj'), x, x)
    matMul(layer.at('q_proj'), x, x)
    add(layer, x, x)
    expect(g.finish().nodes.map((node) => node.name)).toEqual([
      '/model/layers.0/attn/q_proj/MatMul',
      '/model/layers.0/attn/q_proj/MatMul_1',
      '/model/layers.0/attn/Add',
    ])
  })

  it('gives a value its output name at its source and wherever it is read', () => {
    const g = graph()
    const x = g.input('x', 'float32', [4])
    const doubled = add(g, x, x)
    g.output('doubled', doubled, 'float32', [4])
    g.output('result', add(g, doubled, x), 'float32', [4])

    const { nodes, outputs } = g.finish()
    expect(outputs.map((output) => output.name)).toEqual(['doubled', 'result'])
    expect(nodes[0]?.outputs).toEqual(['doubled'])
    expect(nodes[1]?.inputs).toEqual(['doubled', 'x'])
    expect(nodes[1]?.outputs).toEqual(['result'])
  })

  it('holds an equal constant once', () => {
    const g = graph()
    expect(g.integers([1, 2])).toEqual(g.at('elsewhere').integers([1, 2]))
    expect(g.integers([1, 2])).not.toEqual(g.integers([12]))
    expect(g.floats([1])).not.toEqual(g.floats([1], [1]))
    expect(g.finish().inline).toHaveLength(4)
  })

  it('labels the outputs of a node that has several', () => {
    const g = graph()
    const { q, k } = split(g.at('attn'), g.input('x', 'float32', [4]), g.integers([1, 3]), ['q', 'k'])
    expect([q.name, k.name]).toEqual(['/attn/Split/q', '/attn/Split/k'])
  })
})

describe('a model file', () => {
  const root = resolve('/models')

  it('points into weight files by a path below the deepest folder they share', () => {
    const g = graph()
    const weight = (name: string, file: string) =>
      g.external({ name, type: 'bfloat16', dims: [2, 3], file: join(root, file), offset: 17, length: 12 })
    weight('a', 'one/model-1.safetensors')
    weight('b', 'one/model-2.safetensors')
    weight('c', 'weights/narrow.safetensors')
    const { bytes, files } = encodeModel(g.finish())

    expect(commonFolder(files)).toBe(root)
    const stored = fromBinary(ModelProtoSchema, bytes).graph?.initializer ?? []
    expect(stored.map((tensor) => tensor.externalData.map((entry) => entry.value))).toEqual([
      ['one/model-1.safetensors', '17', '12'],
      ['one/model-2.safetensors', '17', '12'],
      ['weights/narrow.safetensors', '17', '12'],
    ])
    expect(stored.every((tensor) => tensor.rawData.length === 0)).toBe(true)
  })

  it('takes the folder of a file that is alone, and does not mistake a sibling with a longer name for it', () => {
    expect(commonFolder([join(root, 'a', 'x')])).toBe(join(root, 'a'))
    expect(commonFolder([join(root, 'a', 'x'), join(root, 'ab', 'y')])).toBe(root)
    expect(commonFolder([join(root, 'a', 'x'), join(root, 'a', 'b', 'y')])).toBe(join(root, 'a'))
    expect(commonFolder([])).toBe('')
  })
})
