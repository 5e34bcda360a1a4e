import {
  type GraphQLNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
  validateSchema,
} from 'graphql'
import { describe, expect, it } from 'vitest'
import { requestLimits } from '../../../src/api/limits.ts'
import { createSchema } from '../../../src/api/schema.ts'
import { kvDtypeBits } from '../../../src/architecture/kv-values.ts'
import { devices, phases, runKinds, runStatuses, runtimes, weightDtypes } from '../../../src/jobs/glossary.ts'

const schema = createSchema()
const types = Object.values(schema.getTypeMap()).filter(
  (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type),
)

interface Described {
  path: string
  description: string | null | undefined
}

function* elementsOf(type: GraphQLNamedType): Generator<Described> {
  yield { path: type.name, description: type.description }
  if (isEnumType(type)) {
    for (const value of type.getValues()) yield { path: `${type.name}.${value.name}`, description: value.description }
  }
  if (isInputObjectType(type)) {
    for (const field of Object.values(type.getFields())) {
      yield { path: `${type.name}.${field.name}`, description: field.description }
    }
  }
  if (isObjectType(type) || isInterfaceType(type)) {
    for (const field of Object.values(type.getFields())) {
      const path = `${type.name}.${field.name}`
      yield { path, description: field.description }
      for (const argument of field.args) yield { path: `${path}(${argument.name})`, description: argument.description }
    }
  }
}

const elements = types.flatMap((type) => [...elementsOf(type)])

function valuesOf(name: string): string[] {
  const type = schema.getType(name)
  return isEnumType(type) ? type.getValues().map((value) => value.name) : []
}

describe('the schema', () => {
  it('is valid', () => {
    expect(validateSchema(schema)).toEqual([])
  })

  it('describes every type, field, argument and enum value in a sentence', () => {
    expect(elements.length).toBeGreaterThan(300)
    expect(
      elements
        .filter(({ description }) => !/^([A-Z0-9]|kvscope).*\.$/s.test(description ?? ''))
        .map(({ path }) => path),
    ).toEqual([])
  })

  it('says the same of a field in a type as in the interface it comes from', () => {
    const run = schema.getType('Run')
    const benchmark = schema.getType('BenchmarkRun')
    if (!isInterfaceType(run) || !isObjectType(benchmark)) throw new Error('Run or BenchmarkRun is gone')
    for (const field of Object.values(run.getFields())) {
      if (field.name === 'kind') continue
      expect(benchmark.getFields()[field.name]?.description).toBe(field.description)
    }
  })

  it('states the limits that are in force', () => {
    const { bodyBytes, tokens, depth, rootFields, aliases, cost } = requestLimits
    const numbers = [`${bodyBytes / 1024} KB`, `${tokens.toLocaleString('en')} tokens`, `${depth} levels`]
    numbers.push(`${rootFields} fields at the root`, `${aliases} aliases`, `a cost of ${cost.toLocaleString('en')}`)
    for (const number of numbers) expect(schema.description).toContain(number)
  })

  it('has the values of the glossary', () => {
    expect(valuesOf('RunKind')).toEqual([...runKinds])
    expect(valuesOf('RunStatus')).toEqual([...runStatuses])
    expect(valuesOf('Phase')).toEqual([...phases])
    expect(valuesOf('Device')).toEqual([...devices])
    expect(valuesOf('Runtime')).toEqual([...runtimes])
    expect(valuesOf('WeightDtype')).toEqual([...weightDtypes])
    expect(valuesOf('KvDtype')).toEqual(Object.keys(kvDtypeBits))
  })

  it('has nothing in it that nothing serves', () => {
    const paths = elements.map(({ path }) => path)
    for (const path of ['WeightDtype.Q8', 'SubjectInput.kvDtype']) {
      expect(paths).not.toContain(path)
    }
  })
})
