import { AppError } from '../errors.ts'
import { quote } from './quote.ts'

/** A tensor as torch's pickle describes it: a view of a storage, sizes and strides in values. */
export interface PickledTensor {
  is: 'tensor'
  storage: PickledStorage
  offset: number
  shape: number[]
  strides: number[]
}

/** Values of one type that lie in a file of the archive. */
export interface PickledStorage {
  is: 'storage'
  /** name of the file under `data/` */
  key: string
  /** as safetensors spells it */
  dtype: string
  /** values */
  count: number
}

interface Global {
  is: 'global'
  name: string
}
interface Tuple {
  is: 'tuple'
  items: Value[]
}
interface Dict {
  is: 'dict'
  entries: Map<string, Value>
}
type Value = string | number | boolean | null | Global | Tuple | Dict | PickledStorage | PickledTensor

const dtypes = new Map(
  Object.entries({
    'torch.FloatStorage': 'F32',
    'torch.HalfStorage': 'F16',
    'torch.BFloat16Storage': 'BF16',
    'torch.DoubleStorage': 'F64',
    'torch.LongStorage': 'I64',
    'torch.IntStorage': 'I32',
    'torch.ShortStorage': 'I16',
    'torch.CharStorage': 'I8',
    'torch.ByteStorage': 'U8',
    'torch.BoolStorage': 'BOOL',
  }),
)
const orderedDict = 'collections.OrderedDict'
const rebuildTensor = 'torch._utils._rebuild_tensor_v2'
const rebuildParameter = 'torch._utils._rebuild_parameter'
const known: ReadonlySet<string> = new Set([orderedDict, rebuildTensor, rebuildParameter, ...dtypes.keys()])

/** What is read of a tensor's shape: torch itself allows 64 dimensions. */
const mostDimensions = 64

/**
 * Reads the pickle of a state dict: tensors by name. It knows ordered dicts, tensors, parameters and storages, of the
 * opcodes those that torch.save writes for them (protocol 2; Lib/pickletools.py), and calls nothing: what `GLOBAL` and
 * `REDUCE` name is compared with a list and never looked up. The state that `BUILD` hands an ordered dict (torch's
 * `_metadata`) is left out.
 * @param file as errors name it
 * @throws AppError CHECKPOINT_INVALID naming the global, the opcode or the value that is none of these
 */
export function readPickledTensors(bytes: Buffer, file: string): Map<string, PickledTensor> {
  const invalid = (message: string): never => {
    throw new AppError(
      'CHECKPOINT_INVALID',
      `${file}: ${message}`,
      'A pickle may run whatever its author wants, so only tensors are read. Save it again with safetensors.',
    )
  }
  const top = run(bytes, invalid)
  if (!isA(top, 'dict')) return invalid(`its pickle holds ${describe(top)}, not tensors by name`)
  return new Map(
    [...top.entries].map(([name, value]) =>
      isA(value, 'tensor') ? [name, value] : invalid(`${quote(name)} is ${describe(value)}, and no tensor`),
    ),
  )
}

type Invalid = (message: string) => never
type Kind = 'global' | 'tuple' | 'dict' | 'storage' | 'tensor'

function isA<K extends Kind>(value: Value | undefined, kind: K): value is Extract<Value, { is: K }> {
  return typeof value === 'object' && value !== null && value.is === kind
}

function describe(value: Value | undefined): string {
  if (value === undefined) return 'nothing'
  if (typeof value !== 'object' || value === null) return quote(value)
  return value.is === 'global' ? value.name : `a ${value.is}`
}

/** Executes the opcodes until STOP; work and memory are bounded by the bytes, each of which is looked at once. */
function run(bytes: Buffer, invalid: Invalid): Value | undefined {
  const stack: Value[] = []
  const marks: number[] = []
  const memo = new Map<number, Value>()
  let at = 0

  const take = (length: number) => {
    if (length > bytes.length - at) invalid(`its pickle ends inside a value of ${length} bytes`)
    at += length
    return bytes.subarray(at - length, at)
  }
  const byte = () => {
    at += 1
    return bytes[at - 1] ?? invalid('its pickle ends inside a value')
  }
  const line = () => {
    const end = bytes.indexOf(0x0a, at)
    if (end < 0) invalid('its pickle ends inside a name')
    const text = bytes.toString('utf8', at, end)
    at = end + 1
    return text
  }
  const pop = (): Value => {
    const floor = marks.at(-1) ?? 0
    const value = stack.length > floor ? stack.pop() : undefined
    return value === undefined ? invalid('its pickle takes a value that it has not put down') : value
  }
  const toMark = (): Value[] => stack.splice(marks.pop() ?? invalid('its pickle ends a list that it has not begun'))
  const put = (index: number) => memo.set(index, stack.at(-1) ?? invalid('its pickle remembers nothing'))
  const get = (index: number) => {
    const value = memo.get(index)
    stack.push(value === undefined ? invalid(`its pickle recalls ${index}, which it has not remembered`) : value)
  }
  const tuple = (items: Value[]) => stack.push({ is: 'tuple', items })
  const setItems = (items: readonly Value[]) => {
    const dict = stack.at(-1)
    if (!isA(dict, 'dict') || items.length % 2 !== 0) return invalid(`its pickle sets items of ${describe(dict)}`)
    for (let index = 0; index < items.length; index += 2) {
      const [key, value] = [items[index], items[index + 1]]
      if (typeof key !== 'string' || value === undefined) return invalid(`its pickle names an item ${describe(key)}`)
      if (dict.entries.has(key)) invalid(`its pickle names ${quote(key)} twice`)
      dict.entries.set(key, value)
    }
  }

  for (;;) {
    const opcode = String.fromCharCode(bytes[at] ?? invalid('its pickle ends without a STOP'))
    at += 1
    switch (opcode) {
      case '\x80': {
        const protocol = byte()
        if (protocol !== 2) invalid(`its pickle has protocol ${protocol}, and torch.save writes 2`)
        break
      }
      case 'c': {
        const name = `${line()}.${line()}`
        if (!known.has(name)) invalid(`its pickle asks for ${quote(name)}, which is no part of a tensor`)
        stack.push({ is: 'global', name })
        break
      }
      case 'R': {
        const args = pop()
        stack.push(rebuild(pop(), args, invalid))
        break
      }
      case 'Q':
        stack.push(storageOf(pop(), invalid))
        break
      case 'b': {
        const state = pop()
        const target = stack.at(-1)
        if (!isA(target, 'dict') || !isA(state, 'dict')) {
          invalid(`its pickle sets the state of ${describe(target)} to ${describe(state)}`)
        }
        break
      }
      case '(':
        marks.push(stack.length)
        break
      case ')':
        tuple([])
        break
      case 't':
        tuple(toMark())
        break
      case '\x85':
        tuple([pop()])
        break
      case '\x86':
      case '\x87': {
        const items = Array.from({ length: opcode === '\x86' ? 2 : 3 }, pop)
        tuple(items.reverse())
        break
      }
      case '}':
        stack.push({ is: 'dict', entries: new Map() })
        break
      case 's': {
        const value = pop()
        setItems([pop(), value])
        break
      }
      case 'u':
        setItems(toMark())
        break
      case 'X':
        stack.push(take(take(4).readUInt32LE()).toString('utf8'))
        break
      case 'K':
        stack.push(byte())
        break
      case 'M':
        stack.push(take(2).readUInt16LE())
        break
      case 'J':
        stack.push(take(4).readInt32LE())
        break
      case '\x8a':
        stack.push(readLong(take(byte()), invalid))
        break
      case '\x88':
      case '\x89':
        stack.push(opcode === '\x88')
        break
      case 'N':
        stack.push(null)
        break
      case 'q':
        put(byte())
        break
      case 'r':
        put(take(4).readUInt32LE())
        break
      case 'h':
        get(byte())
        break
      case 'j':
        get(take(4).readUInt32LE())
        break
      case '.':
        if (stack.length !== 1 || marks.length > 0) invalid(`its pickle ends with ${stack.length} values`)
        return stack[0]
      default:
        invalid(`its pickle has opcode 0x${bytes[at - 1]?.toString(16)} at byte ${at - 1}, which no tensor needs`)
    }
  }
}

/** A whole number of any length, little-endian two's complement. */
function readLong(bytes: Buffer, invalid: Invalid): number {
  if (bytes.length > 8) return invalid(`its pickle holds a number of ${bytes.length} bytes`)
  const value = Number(
    BigInt.asIntN(
      64,
      bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n),
    ),
  )
  if (!Number.isSafeInteger(value)) return invalid(`its pickle holds the number ${value}`)
  return bytes.length === 8 || bytes.length === 0 || (bytes.at(-1) ?? 0) < 0x80
    ? value
    : value - 2 ** (8 * bytes.length)
}

/** What `REDUCE` may build: an empty ordered dict, a tensor of a storage, a parameter, which is its tensor. */
function rebuild(what: Value, args: Value, invalid: Invalid): Value {
  if (!isA(what, 'global') || !isA(args, 'tuple')) return invalid(`its pickle calls ${describe(what)}`)
  const { items } = args
  if (what.name === orderedDict) {
    return items.length === 0 ? { is: 'dict', entries: new Map() } : invalid('its pickle fills a dict as it is made')
  }
  if (what.name === rebuildParameter) {
    return isA(items[0], 'tensor') ? items[0] : invalid(`its pickle makes a parameter of ${describe(items[0])}`)
  }
  if (what.name !== rebuildTensor) return invalid(`its pickle calls ${what.name}, which is a type of storage`)
  const [storage, offset, shape, strides] = items
  if (!isA(storage, 'storage') || !isCount(offset)) {
    return invalid(`its pickle makes a tensor of ${describe(storage)} from ${describe(offset)} on`)
  }
  return { is: 'tensor', storage, offset, shape: counts(shape, invalid), strides: counts(strides, invalid) }
}

const isCount = (value: Value | undefined): value is number => Number.isSafeInteger(value) && Number(value) >= 0

function counts(value: Value | undefined, invalid: Invalid): number[] {
  if (!isA(value, 'tuple') || value.items.length > mostDimensions || !value.items.every(isCount)) {
    return invalid(`its pickle gives a tensor ${describe(value)} for its sizes or strides`)
  }
  return value.items.filter(isCount)
}

/** `('storage', its type, the name of its file, a device, its number of values)` */
function storageOf(id: Value, invalid: Invalid): PickledStorage {
  const [word, type, key, , count] = isA(id, 'tuple') ? id.items : []
  const dtype = isA(type, 'global') ? dtypes.get(type.name) : undefined
  if (
    word !== 'storage' ||
    dtype === undefined ||
    typeof key !== 'string' ||
    !/^\w{1,40}$/.test(key) ||
    !isCount(count)
  ) {
    return invalid(`its pickle refers to ${describe(word)} ${describe(type)} ${describe(key)}, and not to a storage`)
  }
  return { is: 'storage', key, dtype, count }
}
