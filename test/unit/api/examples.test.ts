import { isObjectType, Kind, parse, validate } from 'graphql'
import { describe, expect, it } from 'vitest'
import { emptyExampleValues, exampleNames } from '../../../src/api/example-values.ts'
import { fillExamples, readExamples } from '../../../src/api/examples.ts'
import { checkRequestLimits } from '../../../src/api/limits.ts'
import { createSchema } from '../../../src/api/schema.ts'

const schema = createSchema()
const examples = await readExamples()

function operationOf(query: string) {
  const document = parse(query)
  const operation = document.definitions.find((definition) => definition.kind === Kind.OPERATION_DEFINITION)
  if (!operation) throw new Error('the document has no operation')
  return { document, operation }
}

describe('the saved examples', () => {
  it('fit the schema and its limits', () => {
    for (const { name, query, variables } of fillExamples(examples, emptyExampleValues)) {
      const { document, operation } = operationOf(query)
      expect(validate(schema, document), name).toEqual([])
      checkRequestLimits(schema, document, operation, variables === '' ? {} : JSON.parse(variables))
    }
  })

  it('show every operation', () => {
    const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]
    const offered = roots.filter(isObjectType).flatMap((type) => Object.keys(type.getFields()))
    const shown = examples.flatMap(({ query }) =>
      operationOf(query).operation.selectionSet.selections.map((field) =>
        field.kind === Kind.FIELD ? field.name.value : '',
      ),
    )
    expect([...new Set(shown)].sort()).toEqual(offered.sort())
  })

  it('begin with a comment that says what they show', () => {
    for (const { name, query } of examples) expect(query, name).toMatch(/^# [A-Z].*\n/)
  })

  it('name what differs from database to database, and get what there is, written as JSON', () => {
    const named = Object.fromEntries(exampleNames.map((name, index) => [name, [index]]))
    const all = fillExamples(examples, { ...emptyExampleValues, ...named })
      .map(({ variables }) => variables)
      .join()
    for (const [index] of exampleNames.entries()) expect(all).toContain(`: [${index}]`)
    const none = fillExamples(examples, emptyExampleValues)
    for (const { variables } of none) {
      if (variables !== '') JSON.parse(variables)
      for (const name of exampleNames) expect(variables).not.toContain(name)
    }
  })

  it('cannot end the script that they are written into', () => {
    expect(JSON.stringify(examples)).not.toMatch(/<\/script|<!--/i)
  })
})
