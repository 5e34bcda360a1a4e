import {
  type GraphQLObjectType,
  isNonNullType,
  isObjectType,
  parse,
  TypeInfo,
  validate,
  visit,
  visitWithTypeInfo,
} from 'graphql'
import { describe, expect, it } from 'vitest'
import { runDocument } from '../../../src/api/exports/run-document.ts'
import { createSchema } from '../../../src/api/schema.ts'

const schema = createSchema()
const document = parse(runDocument)

/** Fields of each type that the document names. */
function namedFields(): Map<string, Set<string>> {
  const info = new TypeInfo(schema)
  const found = new Map<string, Set<string>>()
  visit(
    document,
    visitWithTypeInfo(info, {
      Field({ name }) {
        const type = info.getParentType()?.name ?? ''
        found.set(type, (found.get(type) ?? new Set()).add(name.value))
      },
    }),
  )
  return found
}

function objectType(name: string): GraphQLObjectType {
  const type = schema.getType(name)
  if (!isObjectType(type)) throw new Error(`${name} is no object type`)
  return type
}

/** Fields that can be asked for without arguments. */
function plainFields(name: string): string[] {
  const fields = Object.values(objectType(name).getFields())
  return fields.filter(({ args }) => !args.some(({ type }) => isNonNullType(type))).map((field) => field.name)
}

describe('the document that an export reads a run with', () => {
  it('is valid', () => {
    expect(validate(schema, document)).toEqual([])
  })

  it.each([
    ['BenchmarkRun', ['events']],
    ['WeightSlicesRun', ['events', 'slices']],
    ['AttentionMapsRun', ['events', 'overviewUrl']],
    ['Subject', []],
    ['Model', []],
    ['LayerAttention', []],
    ['Environment', []],
    ['MachineBounds', []],
    ['RunError', []],
    ['Series', []],
    ['DevicePrediction', []],
    ['Summary', []],
    ['SeriesComparison', []],
    ['PromptTokens', []],
    ['Token', []],
    ['Diversity', ['imageUrl']],
    ['HeadBehaviour', []],
    ['Fit', []],
    ['Estimate', []],
    ['Interval', []],
    ['Warning', []],
  ])('asks for every field of %s but those that the export writes itself: %s', (type, ours) => {
    const named = namedFields()
    const asked = new Set([...(named.get(type) ?? []), ...(type.endsWith('Run') ? (named.get('Run') ?? []) : [])])
    expect(plainFields(type).filter((field) => !asked.has(field))).toEqual(ours)
  })
})
