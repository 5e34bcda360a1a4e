import { dirname, parse, relative, sep } from 'node:path'
import { create, toBinary } from '@bufbuild/protobuf'
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from 'onnx-buf'
import { AppError } from '../errors.ts'
import type {
  Attribute,
  Dimension,
  ElementType,
  ExternalTensor,
  Graph,
  InlineTensor,
  Node,
  ValueInfo,
} from './graph.ts'

/** Version 24 of the standard operators, in version 10 of the file format: what onnxruntime 1.30 reads in full. */
const operatorSet = 24n
const formatVersion = 10n

const dataTypes = {
  float32: DataType.FLOAT,
  float16: DataType.FLOAT16,
  bfloat16: DataType.BFLOAT16,
  int32: DataType.INT32,
  int64: DataType.INT64,
  bool: DataType.BOOL,
} as const satisfies Record<ElementType, number>

/** A graph as bytes, and the files that its weights still lie in. */
export interface EncodedModel {
  bytes: Uint8Array
  files: string[]
}

/**
 * Writes a graph as an ONNX model. Weights are not copied: their initializers point into the files they came from,
 * by a path relative to `commonFolder(files)`, which the session has to be told.
 */
export function encodeModel(graph: Graph): EncodedModel {
  const files = [...new Set(graph.external.map((tensor) => tensor.file))]
  const folder = commonFolder(files)
  const model = create(ModelProtoSchema, {
    irVersion: formatVersion,
    producerName: 'kvscope',
    opsetImport: [
      create(OperatorSetIdProtoSchema, { domain: '', version: operatorSet }),
      create(OperatorSetIdProtoSchema, { domain: 'com.microsoft', version: 1n }),
    ],
    graph: create(GraphProtoSchema, {
      name: 'model',
      node: graph.nodes.map(encodeNode),
      input: graph.inputs.map(encodeValueInfo),
      output: graph.outputs.map(encodeValueInfo),
      initializer: [
        ...graph.inline.map(encodeInline),
        ...graph.external.map((tensor) => encodeExternal(tensor, folder)),
      ],
    }),
  })
  return { bytes: toBinary(ModelProtoSchema, model), files }
}

/**
 * The deepest folder that holds all the files: onnxruntime reads external weights only from inside one folder, and a
 * converted variant's own file may lie beside, not in, the checkpoint it shares the rest with.
 * @throws AppError CHECKPOINT_INVALID where no folder holds them all (two drives of Windows)
 */
export function commonFolder(files: readonly string[]): string {
  const [first, ...rest] = files
  if (first === undefined) return ''
  let folder = dirname(first)
  for (const file of rest) {
    while (!isInside(file, folder)) {
      const parent = dirname(folder)
      if (parent === folder) {
        throw new AppError(
          'CHECKPOINT_INVALID',
          `${first} and ${file} have no folder in common`,
          'Keep the files of one model on one drive.',
        )
      }
      folder = parent
    }
  }
  return folder
}

function isInside(file: string, folder: string): boolean {
  return parse(file).root === parse(folder).root && !relative(folder, file).split(sep).includes('..')
}

function encodeNode(node: Node): NodeProto {
  return create(NodeProtoSchema, {
    name: node.name,
    opType: node.operator,
    domain: node.domain,
    input: node.inputs,
    output: node.outputs,
    attribute: Object.entries(node.attributes).map(([name, value]) => encodeAttribute(name, value)),
  })
}

function encodeAttribute(name: string, value: Attribute): AttributeProto {
  if (typeof value === 'number') {
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) })
  }
  if (typeof value === 'string') {
    return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) })
  }
  if ('float' in value) return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float })
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map((entry) => BigInt(entry)) })
}

function encodeValueInfo(info: ValueInfo): ValueInfoProto {
  const shape = create(TensorShapeProtoSchema, { dim: info.dims.map(encodeDimension) })
  const tensorType = create(TypeProto_TensorSchema, { elemType: dataTypes[info.type], shape })
  return create(ValueInfoProtoSchema, {
    name: info.name,
    type: create(TypeProtoSchema, { value: { case: 'tensorType', value: tensorType } }),
  })
}

function encodeDimension(dimension: Dimension) {
  return create(TensorShapeProto_DimensionSchema, {
    value:
      typeof dimension === 'number'
        ? { case: 'dimValue', value: BigInt(dimension) }
        : { case: 'dimParam', value: dimension },
  })
}

function encodeInline(tensor: InlineTensor): TensorProto {
  const { buffer, byteOffset, byteLength } = tensor.data
  return create(TensorProtoSchema, {
    name: tensor.name,
    dataType: tensor.data instanceof Float32Array ? DataType.FLOAT : DataType.INT64,
    dims: tensor.dims.map((dim) => BigInt(dim)),
    rawData: new Uint8Array(buffer, byteOffset, byteLength).slice(),
  })
}

function encodeExternal(tensor: ExternalTensor, folder: string): TensorProto {
  const entries = {
    // ONNX spells paths with slashes on every system.
    location: relative(folder, tensor.file).split(sep).join('/'),
    offset: String(tensor.offset),
    length: String(tensor.length),
  }
  return create(TensorProtoSchema, {
    name: tensor.name,
    dataType: dataTypes[tensor.type],
    dims: tensor.dims.map((dim) => BigInt(dim)),
    dataLocation: DataLocation.EXTERNAL,
    externalData: Object.entries(entries).map(([key, value]) => create(StringStringEntryProtoSchema, { key, value })),
  })
}
