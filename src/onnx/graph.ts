/** Element types of a tensor in a graph, in ONNX's words. */
export type ElementType = 'float32' | 'float16' | 'bfloat16' | 'int32' | 'int64' | 'bool'

/** A size known when the graph is built, or the name of one that the feeds decide. */
export type Dimension = number | string

/** An edge of the graph: what a node computes, a weight, a constant or an input. */
export interface Value {
  readonly name: string
}

/** A whole number is an INT, a list an INTS; a FLOAT says so, as 1.0 and 1 look alike here. */
export type Attribute = number | readonly number[] | string | { readonly float: number }

export interface Node {
  name: string
  operator: string
  /** '' for standard ONNX, com.microsoft for onnxruntime's own */
  domain: string
  /** an empty name leaves an optional input out */
  inputs: string[]
  outputs: string[]
  attributes: Readonly<Record<string, Attribute>>
}

export interface ValueInfo {
  name: string
  type: ElementType
  dims: readonly Dimension[]
}

/** A tensor that the graph holds by itself: small things only, shapes and scalars. */
export interface InlineTensor {
  name: string
  dims: readonly number[]
  data: Float32Array | BigInt64Array
}

/** A tensor whose bytes stay where they are: row-major, little-endian, `length` bytes at `offset` of `file`. */
export interface ExternalTensor {
  name: string
  type: ElementType
  dims: readonly number[]
  /** absolute path, links resolved */
  file: string
  offset: number
  length: number
}

export interface Graph {
  inputs: ValueInfo[]
  outputs: ValueInfo[]
  nodes: Node[]
  inline: InlineTensor[]
  external: ExternalTensor[]
}

export interface NodeOptions {
  attributes?: Readonly<Record<string, Attribute>>
  domain?: string
}

export interface GraphOptions {
  /** Whether the execution provider has onnxruntime's FusedMatMul (see ops.ts, the one place that asks). */
  fusedMatMul: boolean
  /** Whether it computes with tensors of no elements: true unless said. */
  emptyTensors?: boolean
}

/** Builds one graph. Every builder made by `at` adds to the same graph, under its own path. */
export interface GraphBuilder {
  readonly options: GraphOptions
  /** The same graph, one step deeper: at('layers.0').at('attn') names nodes /layers.0/attn/MatMul. */
  at(path: string): GraphBuilder
  node(operator: string, inputs: readonly (Value | null)[], options?: NodeOptions): Value
  /** A node with several outputs, by the labels they are given here. */
  nodeWithOutputs<const Label extends string>(
    operator: string,
    inputs: readonly Value[],
    outputs: readonly Label[],
    options?: NodeOptions,
  ): Record<Label, Value>
  input(name: string, type: ElementType, dims: readonly Dimension[]): Value
  /** Makes a value an output of the graph under `name`. */
  output(name: string, value: Value, type: ElementType, dims: readonly Dimension[]): void
  /** A vector of int64: shapes, axes, sizes. */
  integers(values: readonly number[]): Value
  /** A float32 tensor; a scalar where `dims` is empty. */
  floats(values: readonly number[], dims?: readonly number[]): Value
  external(tensor: ExternalTensor): Value
  finish(): Graph
}

interface State {
  graph: Graph
  options: GraphOptions
  /** how often a node path was asked for: the second MatMul of a path becomes MatMul_1 */
  taken: Map<string, number>
  constants: Map<string, Value>
  renamed: Map<string, string>
}

/** An empty graph and the builder that fills it. */
export function createGraph(options: GraphOptions): GraphBuilder {
  const graph: Graph = { inputs: [], outputs: [], nodes: [], inline: [], external: [] }
  return builderAt('', {
    graph,
    options,
    taken: new Map(),
    constants: new Map(),
    renamed: new Map(),
  })
}

function builderAt(path: string, state: State): GraphBuilder {
  const { graph } = state

  function addNode(
    operator: string,
    inputs: readonly (Value | null)[],
    labels: readonly string[],
    { domain = '', attributes = {} }: NodeOptions = {},
  ): string {
    const name = uniqueName(`${path}/${operator}`, state.taken)
    graph.nodes.push({
      name,
      operator,
      domain,
      inputs: inputs.map((input) => input?.name ?? ''),
      outputs: labels.map((label) => `${name}/${label}`),
      attributes,
    })
    return name
  }

  function nodeWithOutputs<const Label extends string>(
    operator: string,
    inputs: readonly Value[],
    labels: readonly Label[],
    options?: NodeOptions,
  ): Record<Label, Value> {
    const name = addNode(operator, inputs, labels, options)
    const values = labels.map((label) => [label, { name: `${name}/${label}` }])
    return Object.fromEntries(values) as Record<Label, Value>
  }

  function constant(key: string, tensor: () => Omit<InlineTensor, 'name'>): Value {
    const known = state.constants.get(key)
    if (known) return known
    const value = { name: `/constants/${key}` }
    graph.inline.push({ name: value.name, ...tensor() })
    state.constants.set(key, value)
    return value
  }

  return {
    options: state.options,
    at: (step) => builderAt(`${path}/${step}`, state),
    node: (operator, inputs, options) => ({ name: `${addNode(operator, inputs, ['output'], options)}/output` }),
    nodeWithOutputs,
    input: (name, type, dims) => {
      graph.inputs.push({ name, type, dims })
      return { name }
    },
    output: (name, value, type, dims) => {
      state.renamed.set(value.name, name)
      graph.outputs.push({ name, type, dims })
    },
    integers: (values) =>
      constant(`int64[${values.join()}]`, () => ({
        dims: [values.length],
        data: BigInt64Array.from(values, (value) => BigInt(value)),
      })),
    floats: (values, dims = []) =>
      constant(`float32[${values.join()}](${dims.join()})`, () => ({ dims, data: Float32Array.from(values) })),
    external: (tensor) => {
      graph.external.push(tensor)
      return { name: tensor.name }
    },
    finish: () => ({ ...graph, nodes: graph.nodes.map((node) => rename(node, state.renamed)) }),
  }
}

function uniqueName(path: string, taken: Map<string, number>): string {
  const times = taken.get(path) ?? 0
  taken.set(path, times + 1)
  return times === 0 ? path : `${path}_${times}`
}

/** Gives graph outputs the names they were asked for, at their source and wherever they are read. */
function rename(node: Node, renamed: ReadonlyMap<string, string>): Node {
  const named = (name: string) => renamed.get(name) ?? name
  return { ...node, inputs: node.inputs.map(named), outputs: node.outputs.map(named) }
}
