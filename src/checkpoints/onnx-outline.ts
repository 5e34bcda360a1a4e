import type { FileHandle } from 'node:fs/promises'
import { AppError } from '../errors.ts'
import { openRegular } from './regular-file.ts'

/** An input or output of a graph. */
export interface OnnxValue {
  name: string
  /** of ONNX's TensorProto.DataType; 0 where the file does not say */
  elementType: number
}

/** A weight of a graph, in the file itself or in one beside it. */
export interface OnnxWeight {
  name: string
  /** of ONNX's TensorProto.DataType */
  elementType: number
  elements: number
  /** file beside the graph's that holds the values, as the graph spells it; null: the graph's own */
  location: string | null
}

export interface OnnxOutline {
  inputs: OnnxValue[]
  outputs: OnnxValue[]
  weights: OnnxWeight[]
}

/** ONNX's TensorProto.DataType of the element types that are told apart here (onnx/onnx.proto). */
export const onnxTypes = { float32: 1, float16: 10, bfloat16: 16 } as const

/** More than any export has: it bounds what a forged file can make us hold. */
const mostValues = 1_000_000
const windowBytes = 16 * 1024
/** Names, shapes and places are short: no text of a graph that is read here comes near it. */
const longestText = 65_536

/**
 * What an ONNX file says of its graph: inputs, outputs and weights by name and type. Protobuf's fields are walked, and
 * the values of weights passed over, so a file of gigabytes takes milliseconds (https://onnx.ai/onnx/repo-docs/IR.html,
 * https://protobuf.dev/programming-guides/encoding).
 * @throws AppError CHECKPOINT_INVALID where the file is no ONNX model
 */
export async function readOnnxOutline(file: string): Promise<OnnxOutline> {
  const { handle, size } = await openRegular(file)
  try {
    const outline: OnnxOutline = { inputs: [], outputs: [], weights: [] }
    const reader = readerOf(handle, size, file)
    let graphs = 0
    for await (const field of reader.fields(0, size)) {
      if (field.number !== modelFields.graph) continue
      graphs += 1
      await readGraph(reader, field, outline)
    }
    if (graphs !== 1) reader.refuse(`it holds ${graphs} graphs`)
    return outline
  } finally {
    await handle.close()
  }
}

const modelFields = { graph: 7 } as const
const graphFields = { initializer: 5, input: 11, output: 12 } as const
const valueFields = { name: 1, type: 2 } as const
/** TypeProto.tensor_type and TypeProto.Tensor.elem_type */
const typeFields = { tensor: 1, elementType: 1 } as const
const tensorFields = { dims: 1, dataType: 2, name: 8, externalData: 13 } as const
const entryFields = { key: 1, value: 2 } as const

/** A field: a number in place (wire types 0, 1 and 5), or bytes from `start` to `end` of the file. */
interface Field {
  number: number
  value: bigint
  start: number
  end: number
  isBytes: boolean
}

interface Reader {
  fields(start: number, end: number): AsyncGenerator<Field>
  text(field: Field): Promise<string>
  /** numbers of a packed field, or the one of a field that is not */
  numbers(field: Field): Promise<bigint[]>
  refuse(message: string): never
}

async function readGraph(reader: Reader, graph: Field, outline: OnnxOutline): Promise<void> {
  for await (const field of reader.fields(graph.start, graph.end)) {
    if (field.number === graphFields.initializer) outline.weights.push(await readWeight(reader, field))
    if (field.number === graphFields.input) outline.inputs.push(await readValue(reader, field))
    if (field.number === graphFields.output) outline.outputs.push(await readValue(reader, field))
    const { inputs, outputs, weights } = outline
    if (inputs.length + outputs.length + weights.length > mostValues) reader.refuse(`it names more than ${mostValues}`)
  }
}

async function readValue(reader: Reader, value: Field): Promise<OnnxValue> {
  const found: OnnxValue = { name: '', elementType: 0 }
  for await (const field of reader.fields(value.start, value.end)) {
    if (field.number === valueFields.name) found.name = await reader.text(field)
    if (field.number !== valueFields.type) continue
    for await (const type of reader.fields(field.start, field.end)) {
      if (type.number !== typeFields.tensor) continue
      for await (const part of reader.fields(type.start, type.end)) {
        if (part.number === typeFields.elementType) found.elementType = Number(part.value)
      }
    }
  }
  return found
}

async function readWeight(reader: Reader, tensor: Field): Promise<OnnxWeight> {
  const found: OnnxWeight = { name: '', elementType: 0, elements: 1, location: null }
  for await (const field of reader.fields(tensor.start, tensor.end)) {
    switch (field.number) {
      case tensorFields.dims:
        for (const size of await reader.numbers(field)) found.elements *= Number(size)
        break
      case tensorFields.dataType:
        found.elementType = Number(field.value)
        break
      case tensorFields.name:
        found.name = await reader.text(field)
        break
      case tensorFields.externalData:
        found.location = (await readLocation(reader, field)) ?? found.location
    }
  }
  return found
}

/** The value of a StringStringEntryProto whose key is `location`. */
async function readLocation(reader: Reader, entry: Field): Promise<string | null> {
  const texts = new Map<number, string>()
  for await (const field of reader.fields(entry.start, entry.end)) texts.set(field.number, await reader.text(field))
  return texts.get(entryFields.key) === 'location' ? (texts.get(entryFields.value) ?? '') : null
}

function readerOf(handle: FileHandle, size: number, file: string): Reader {
  const buffer = Buffer.alloc(Math.min(windowBytes, size))
  let window = { start: 0, end: 0 }

  function refuse(message: string): never {
    throw new AppError(
      'CHECKPOINT_INVALID',
      `${file} is no ONNX model: ${message}`,
      'Download the file again, or export the model again.',
    )
  }

  /** Makes the window hold `position` and as much after it as fits. */
  async function moveTo(position: number): Promise<void> {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, size - position), position)
    window = { start: position, end: position + bytesRead }
  }

  async function byteAt(position: number, end: number): Promise<number> {
    if (position >= end) refuse(`a field breaks off at byte ${position}`)
    if (position < window.start || position >= window.end) await moveTo(position)
    return buffer[position - window.start] ?? refuse(`it breaks off at byte ${position}`)
  }

  async function varint(position: number, end: number): Promise<{ value: bigint; next: number }> {
    let value = 0n
    for (let index = 0; index < 10; index += 1) {
      const byte = await byteAt(position + index, end)
      value |= BigInt(byte & 0x7f) << BigInt(7 * index)
      if (byte < 0x80) return { value, next: position + index + 1 }
    }
    return refuse(`a number at byte ${position} does not end`)
  }

  async function* fields(start: number, end: number): AsyncGenerator<Field> {
    for (let position = start; position < end; ) {
      const tag = await varint(position, end)
      const number = Number(tag.value >> 3n)
      const wire = Number(tag.value & 7n)
      if (number === 0) refuse(`byte ${position} begins no field`)
      if (wire === 0) {
        const { value, next } = await varint(tag.next, end)
        yield { number, value, start: tag.next, end: next, isBytes: false }
        position = next
        continue
      }
      const { value: length, next } =
        wire === 2
          ? await varint(tag.next, end)
          : { value: wire === 1 ? 8n : wire === 5 ? 4n : refuse(`byte ${position} begins no field`), next: tag.next }
      if (length > BigInt(end - next)) refuse(`a field of ${length} bytes at ${position} reaches beyond byte ${end}`)
      const stop = next + Number(length)
      yield { number, value: 0n, start: next, end: stop, isBytes: wire === 2 }
      position = stop
    }
  }

  return {
    fields,
    refuse,
    async text({ start, end, isBytes }) {
      if (!isBytes || end - start > longestText) return refuse(`the name at byte ${start} has ${end - start} bytes`)
      const bytes = Buffer.alloc(end - start)
      for (let index = 0; index < bytes.length; index += 1) bytes[index] = await byteAt(start + index, end)
      return bytes.toString('utf8')
    },
    async numbers({ value, start, end, isBytes }) {
      if (!isBytes) return [value]
      const values: bigint[] = []
      for (let position = start; position < end; ) {
        const read = await varint(position, end)
        values.push(read.value)
        position = read.next
        if (values.length > 64) return refuse(`a shape of more than 64 sizes at byte ${start}`)
      }
      return values
    },
  }
}
