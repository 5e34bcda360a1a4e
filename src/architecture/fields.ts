import { AppError } from '../errors.ts'

/**
 * Bounds on what a config.json may say. They keep every count of parameters and bytes of a config that a model could
 * have within 2^53, and a hostile one from asking for an array of a billion layers: every layer's tensors are listed. The
 * deepest that has been trained has 1000 (Wang et al. 2022, DeepNet).
 */
const most = { layers: 1024, size: 2 ** 24 } as const

/** A value of config.json as a message may show it. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 120 ? `${text.slice(0, 120)}...` : text
}

/** @throws AppError CONFIG_UNSUPPORTED naming the field and its value */
export function unsupported(field: string, value: unknown, reason: string): never {
  throw new AppError(
    'CONFIG_UNSUPPORTED',
    `config.json has ${field} = ${shown(value)}: ${reason}`,
    `Mend ${field} in config.json, or use another checkpoint.`,
  )
}

export interface Fields {
  raw: Record<string, unknown>
  /** Every name that has been asked for, whether it was set or not. */
  asked: Set<string>
  /** The value of the first of `names` that is set and not null. */
  any(...names: string[]): unknown
  /** A whole number of at least 1; several names are spellings of one field. */
  size(...names: string[]): number
  sizeOr(fallback: number, ...names: string[]): number
  /** At most 1024. */
  layers(...names: string[]): number
  number(fallback: number, ...names: string[]): number
  /** A whole number of at least 0. */
  countOr(fallback: number, name: string): number
  flag(fallback: boolean, name: string): boolean
  text(fallback: string, ...names: string[]): string
}

/** Typed access to a config.json; every reader refuses a value of the wrong form by the field's name. */
export function readFields(raw: Record<string, unknown>): Fields {
  return fieldsOf(raw, new Set())
}

/** The same config.json with values for fields that it leaves out or sets to null; `raw` stays as it is. */
export function withDefaults(fields: Fields, defaults: Readonly<Record<string, unknown>>): Fields {
  const stated = Object.entries(fields.raw).filter(([, value]) => value !== null && value !== undefined)
  return { ...fieldsOf({ ...defaults, ...Object.fromEntries(stated) }, fields.asked), raw: fields.raw }
}

function fieldsOf(raw: Record<string, unknown>, asked: Set<string>): Fields {
  const find = (names: string[]) => {
    for (const name of names) asked.add(name)
    return names.find((name) => raw[name] !== undefined && raw[name] !== null)
  }

  function whole(names: string[], fallback: number | null, bound: number): number {
    const name = find(names)
    if (name === undefined) return fallback ?? unsupported(names[0] ?? '', undefined, 'the family needs this field')
    const value = raw[name]
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) {
      return unsupported(name, value, 'it must be a whole number of at least 1')
    }
    if (value > bound) unsupported(name, value, `it may be ${bound} at most`)
    return value
  }

  return {
    raw,
    asked,
    any: (...names) => raw[find(names) ?? ''],
    size: (...names) => whole(names, null, most.size),
    sizeOr: (fallback, ...names) => whole(names, fallback, most.size),
    layers: (...names) => whole(names, null, most.layers),
    number(fallback, ...names) {
      const name = find(names)
      const value = name === undefined ? fallback : raw[name]
      return typeof value === 'number' && Number.isFinite(value) && value > 0
        ? value
        : unsupported(name ?? '', value, 'it must be a number above 0')
    },
    countOr(fallback, name) {
      asked.add(name)
      return raw[name] === 0 ? 0 : whole([name], fallback, most.size)
    },
    flag(fallback, name) {
      asked.add(name)
      const value = raw[name] ?? fallback
      return typeof value === 'boolean' ? value : unsupported(name, value, 'it must be true or false')
    },
    text(fallback, ...names) {
      const name = find(names)
      const value = name === undefined ? fallback : raw[name]
      return typeof value === 'string' ? value : unsupported(name ?? '', value, 'it must be text')
    },
  }
}

/** The head dim where hidden size is all there is to go by. @throws AppError CONFIG_UNSUPPORTED where it does not divide */
export function splitEvenly(hiddenSize: number, heads: number, headsField: string): number {
  if (hiddenSize % heads !== 0) unsupported(headsField, heads, `the hidden size ${hiddenSize} does not divide by it`)
  return hiddenSize / heads
}
