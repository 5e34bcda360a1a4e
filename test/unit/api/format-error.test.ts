import { GraphQLError, GraphQLInt, graphqlSync, parse, validate } from 'graphql'
import { describe, expect, it } from 'vitest'
import { formatError, toGraphQLError, toPublicError } from '../../../src/api/format-error.ts'
import { createSchema } from '../../../src/api/schema.ts'
import { AppError } from '../../../src/errors.ts'
import { createLogger } from '../../../src/log.ts'

const log = createLogger('api', 'silent')

function listen() {
  const heard: object[] = []
  const listening = createLogger('api', 'silent')
  return { heard, log: Object.assign(listening, { error: (entry: object) => heard.push(entry) }) }
}

describe('errors on their way out', () => {
  it('keep code, message, hint and place where they are ours', () => {
    const error = new GraphQLError('wrapped', {
      path: ['run'],
      originalError: new AppError('NOT_FOUND', 'no run 7', 'look at runs'),
    })
    expect(formatError(error, log)).toEqual({
      message: 'no run 7',
      path: ['run'],
      extensions: { code: 'NOT_FOUND', hint: 'look at runs' },
    })
  })

  it('leave out the hint where there is none', () => {
    expect(formatError(new AppError('CONFLICT', 'no'), log)).toEqual({
      message: 'no',
      extensions: { code: 'CONFLICT' },
    })
  })

  it('are masked and logged under the id they name where nobody expected them', () => {
    const { heard, log: listening } = listen()
    const cause = new Error('password=hunter2')
    const masked = toPublicError(
      new GraphQLError('password=hunter2', { path: ['run'], originalError: cause }),
      listening,
    )
    const id = /\((.{36})\)/.exec(masked.message)?.[1]
    expect(masked.code).toBe('INTERNAL')
    expect(JSON.stringify(masked)).not.toContain('hunter2')
    expect(heard).toEqual([{ errorId: id, err: cause }])
  })

  // As pg and Prisma say it, with and without a raw query, and the name of a table beside it.
  it.each([
    new Error('Connection terminated unexpectedly'),
    Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), { code: 'ECONNREFUSED' }),
    Object.assign(new Error("Can't reach database server at 127.0.0.1:5432"), { code: 'P1001' }),
    Object.assign(new Error('Raw query failed. Code: `57P01`'), {
      code: 'P2010',
      meta: { driverAdapterError: { cause: { kind: 'postgres', originalCode: '57P01' } } },
    }),
    Object.assign(new Error('Raw query failed at 127.0.0.1:5432'), {
      code: 'P2010',
      meta: { modelName: 'Run', driverAdapterError: { cause: { kind: 'DatabaseNotReachable', port: 5432 } } },
    }),
  ])('say that the database is away, and not where it should be: $message', (cause) => {
    const { heard, log: listening } = listen()
    const masked = toPublicError(new GraphQLError(cause.message, { path: ['run'], originalError: cause }), listening)
    const id = /^The database cannot be reached \((.{36})\)$/.exec(masked.message)?.[1]
    expect(masked).toMatchObject({ code: 'INTERNAL', hint: expect.stringContaining('Ask again in a moment') })
    expect(JSON.stringify(masked)).not.toMatch(/5432|ECONN|query|Run/)
    expect(heard).toEqual([{ errorId: id, err: cause }])
  })

  it('say nothing of the database where a query itself failed', () => {
    const cause = Object.assign(new Error('Raw query failed. Code: `22P02`'), {
      code: 'P2010',
      meta: { driverAdapterError: { cause: { kind: 'postgres', originalCode: '22P02' } } },
    })
    expect(toPublicError(cause, log).message).toMatch(/^An unexpected error occurred/)
  })

  it('are masked whatever was thrown', () => {
    for (const thrown of [new TypeError('x'), 'text', null, undefined, 7]) {
      expect(toPublicError(thrown, log).code).toBe('INTERNAL')
    }
  })

  it("are the client's where the document does not parse or fit the schema", () => {
    const schema = createSchema()
    const [invalid] = validate(schema, parse('{ nothing }'))
    expect(toPublicError(invalid, log).code).toBe('VALIDATION_FAILED')
    const { errors } = graphqlSync({ schema, source: '{ health { ' })
    expect(toPublicError(errors?.[0], log).code).toBe('VALIDATION_FAILED')
  })

  it("are the client's where a variable cannot be coerced", () => {
    const source = 'query ($source: ModelSourceInput!) { model(source: $source) { name } }'
    const { errors } = graphqlSync({ schema: createSchema(), source, variableValues: { source: { local: 7 } } })
    expect(errors?.length).toBeGreaterThan(0)
    for (const error of errors ?? []) expect(toPublicError(error, log).code).toBe('VALIDATION_FAILED')
  })

  it('are ours to answer for where a resolver returns what its type cannot be', () => {
    const serialisation = (() => {
      try {
        GraphQLInt.serialize('many')
      } catch (error) {
        return error
      }
    })()
    if (!(serialisation instanceof GraphQLError)) throw new Error('GraphQLInt serialised a word')
    const located = new GraphQLError(serialisation.message, { path: ['count'], originalError: serialisation })
    expect(toPublicError(located, log).code).toBe('INTERNAL')
  })

  it('carry an HTTP status for Apollo that does not leave in the extensions', () => {
    const error = toGraphQLError(new AppError('LIMIT_EXCEEDED', 'too much'), 400)
    expect(error.extensions.http).toEqual({ status: 400 })
    expect(formatError(error, log).extensions).toEqual({ code: 'LIMIT_EXCEEDED' })
  })
})
