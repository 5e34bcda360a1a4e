import { describe, expect, it } from 'vitest'
import { authenticate, bearerSecret, connectionSecret } from '../../../src/api/tokens.ts'

const tokens = [
  { name: 'ann', secret: 'ann-knows-this-one' },
  { name: 'bob', secret: 'bob-knows-this-one' },
]

describe('tokens', () => {
  it('let everybody in where none are configured', () => {
    expect(authenticate([], null)).toBeNull()
    expect(authenticate([], 'whatever')).toBeNull()
  })

  it('say who asks', () => {
    expect(authenticate(tokens, 'ann-knows-this-one')).toBe('ann')
    expect(authenticate(tokens, 'bob-knows-this-one')).toBe('bob')
  })

  it.each([null, '', 'ann-knows-this-on', 'ann-knows-this-one ', 'ANN-KNOWS-THIS-ONE'])('refuse %j', (secret) => {
    expect(() => authenticate(tokens, secret)).toThrow(expect.objectContaining({ code: 'UNAUTHENTICATED' }))
  })

  it('never appear in the refusal', () => {
    expect(() => authenticate(tokens, 'a-wrong-secret')).toThrow(
      expect.objectContaining({ message: expect.not.stringMatching(/a-wrong-secret|ann|bob/) }),
    )
  })

  it('come in a bearer header', () => {
    expect(bearerSecret('Bearer abc')).toBe('abc')
    expect(bearerSecret('bearer   abc ')).toBe('abc')
    for (const header of ['Basic abc', 'abc', 'Bearer', 'Bearer a b', undefined, 7])
      expect(bearerSecret(header)).toBeNull()
  })

  it('come in connectionParams as authorization or token', () => {
    expect(connectionSecret({ authorization: 'Bearer abc' })).toBe('abc')
    expect(connectionSecret({ Authorization: 'Bearer abc' })).toBe('abc')
    expect(connectionSecret({ token: 'abc' })).toBe('abc')
    for (const params of [undefined, {}, { token: 7 }, { authorization: 'abc' }])
      expect(connectionSecret(params)).toBeNull()
  })
})
