import { isObjectType, Kind, parse, validate } from 'graphql'
import { describe, expect, it } from 'vitest'
import { fillExamples, namedRuns, readExamples } from '../../../src/api/examples.ts'
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
    for (const { name, query, variables } of fillExamples(examples, {})) {
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

  it('name runs by what they are, and get the ids that there are', () => {
    const ids = Object.fromEntries(namedRuns.map((name, index) => [name, `id-${index}`]))
    const all = fillExamples(examples, ids)
      .map(({ variables }) => variables)
      .join()
    for (const [index] of namedRuns.entries()) expect(all).toContain(`"id-${index}"`)
    const none = fillExamples(examples, {})
      .map(({ variables }) => variables)
      .join()
    for (const name of namedRuns) expect(none).not.toContain(name)
  })

  it('cannot end the script that they are written into', () => {
    expect(JSON.stringify(examples)).not.toMatch(/<\/script|<!--/i)
  })
})
