import { readFileSync } from 'node:fs'
import { getIntrospectionQuery, getOperationAST, Kind, parse } from 'graphql'
import { describe, expect, it } from 'vitest'
import { checkRequestLimits, requestLimits } from '../../../src/api/limits.ts'
import { createSchema } from '../../../src/api/schema.ts'

const schema = createSchema()

function check(source: string, variables: Record<string, unknown> = {}): void {
  const document = parse(source)
  const operation = getOperationAST(document)
  if (!operation) throw new Error('no operation')
  checkRequestLimits(schema, document, operation, variables)
}

const refusal = (what: string) =>
  expect.objectContaining({ code: 'LIMIT_EXCEEDED', message: expect.stringContaining(what) })
const runWith = (fields: string) => `{ run(id: "1") { ${fields} } }`

describe('limits of a request', () => {
  it('let an ordinary page through', () => {
    check('{ runs(first: 100) { nodes { id status subjects { name model { attentionKind kvHeads } } } totalCount } }')
  })

  it('refuse more levels of fields than allowed, fragments being none', () => {
    const types = (levels: number) =>
      `{ __type(name: "Run") { ${'ofType { '.repeat(levels)} name ${'}'.repeat(levels)} } }`
    check(types(requestLimits.depth - 2))
    expect(() => check(types(requestLimits.depth - 1))).toThrow(refusal('16 levels of fields'))
    check(runWith(`${'... on Run { '.repeat(40)} id ${'}'.repeat(40)}`))
  })

  it.each([
    ['model', 4, 'model(source: { config: { model_type: "deepseek_v3" } }) { parameters votes { evidence } }'],
    ['kvCache', 9, 'kvCache(input: { source: { config: {} }, contextLength: 1 }) { bytes factors { name value } }'],
  ])('let few configs be read by `%s`: %i, and no more', (_field, most, field) => {
    const times = (count: number) =>
      `{ ${Array.from({ length: count }, (_, index) => `m${index}: ${field}`).join(' ')} }`
    check(times(most))
    expect(() => check(times(most + 1))).toThrow(refusal('units of cost'))
  })

  it("let graphql's own introspection query through", () => {
    check(getIntrospectionQuery({ schemaDescription: true, oneOf: true, inputValueDeprecation: true }))
  })

  it('refuse more fields at the root than allowed, also through fragments', () => {
    const fields = Array.from({ length: 21 }, (_, index) => `a${index}: health { ok }`).join(' ')
    expect(() => check(`{ ${fields} }`)).toThrow(refusal('21 fields at the root'))
    expect(() => check(`{ ...all } fragment all on Query { ${fields} }`)).toThrow(refusal('21 fields at the root'))
  })

  it('refuse more aliases than allowed, counting a fragment as often as it is spread', () => {
    const aliases = (count: number) => Array.from({ length: count }, (_, index) => `a${index}: id`).join(' ')
    check(runWith(aliases(30)))
    expect(() => check(runWith(aliases(31)))).toThrow(refusal('31 aliases'))
    const spread = `{ run(id: "1") { ...f } b: run(id: "2") { ...f } } fragment f on Run { ${aliases(16)} }`
    expect(() => check(spread)).toThrow(refusal('33 aliases'))
  })

  it('multiply what stands in a page by its length', () => {
    const series =
      'nodes { ... on BenchmarkRun { series { samples summary { median interval { low high } } subject { name } } } }'
    check(`{ runs(first: 20) { ${series} } }`)
    expect(() => check(`{ runs(first: 100) { ${series} } }`)).toThrow(refusal('units of cost'))
    expect(() => check(`query ($n: Int) { runs(last: $n) { ${series} } }`, { n: 100 })).toThrow(
      refusal('units of cost'),
    )
    check(`query ($n: Int) { runs(last: $n) { ${series} } }`, { n: 10 })
  })

  describe('count a page as long as it will be,', () => {
    const series = 'nodes { ... on BenchmarkRun { series { samples summary { interval { low high } } } } }'

    it.each<[string, string, Record<string, unknown>]>([
      ['whose length is the default of a variable', `query ($n: Int = 100) { runs(first: $n) { ${series} } }`, {}],
      ['also of `last`', `query ($n: Int = 100) { runs(last: $n) { ${series} } }`, {}],
      ['by the longer of `first` and `last`', `{ runs(first: 1, last: 100) { ${series} } }`, {}],
      ['whose length the schema sets', '{ runs(first: 100) { nodes { events { seq at } } } }', {}],
      [
        'also where its variable is null',
        'query ($n: Int) { runs(first: 100) { nodes { events(first: $n) { seq at } } } }',
        { n: null },
      ],
    ])('%s', (_title, query, variables) => {
      expect(() => check(query, variables)).toThrow(refusal('units of cost'))
    })

    it('and no longer: a variable that is given outweighs its default', () => {
      check(`query ($n: Int = 100) { runs(first: $n) { ${series} } }`, { n: 10 })
      check(`query ($n: Int = 100) { runs(first: $n) { ${series} } }`, { n: null })
      check(`query ($n: Int = 10) { runs(first: $n) { ${series} } }`)
      check('{ runs(first: 100) { nodes { events(first: 1) { seq at message } } } }')
    })
  })

  it('refuse fragments that multiply each other without measuring them one by one', () => {
    const levels = 40 // 2^40 visits would outlast the test
    const fragments = Array.from({ length: levels }, (_, level) => {
      const next = level + 1 < levels ? `...f${level + 1} ...f${level + 1}` : 'id'
      return `fragment f${level} on Run { ${next} }`
    })
    expect(() => check(`{ run(id: "1") { ...f0 } } ${fragments.join(' ')}`)).toThrow(refusal('units of cost'))
  })

  it("let the command line's own operations through", () => {
    const source = readFileSync(new URL('../../../src/cli/operations.graphql', import.meta.url), 'utf8')
    const document = parse(source)
    const operations = document.definitions.filter((definition) => definition.kind === Kind.OPERATION_DEFINITION)
    expect(operations.length).toBeGreaterThan(3)
    for (const operation of operations) {
      expect(() => checkRequestLimits(schema, document, operation, { first: 100 }), operation.name?.value).not.toThrow()
    }
  })
})
