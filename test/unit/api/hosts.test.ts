import { describe, expect, it } from 'vitest'
import { hostAllowed, hostName, isLoopback, originAllowed, refuseOpenNetwork } from '../../../src/api/hosts.ts'

const local = { host: '127.0.0.1', allowedHosts: [] }

describe('the Host header', () => {
  it.each([
    ['localhost:4000', 'localhost'],
    ['127.0.0.1', '127.0.0.1'],
    ['[::1]:4000', '::1'],
    ['API:4000', 'api'],
  ])('%s names %s', (header, name) => {
    expect(hostName(header)).toBe(name)
  })

  it.each([undefined, '', 'a b', 'evil.example@localhost', 'localhost:port', 'localhost:4000/path', '[::1'])(
    '%s names nothing',
    (header) => {
      expect(hostName(header)).toBeNull()
      expect(hostAllowed(header, local)).toBe(false)
    },
  )

  it('may name loopback in any form, with any port', () => {
    for (const header of ['localhost', 'localhost:1', '127.0.0.1:4000', '127.8.8.8', '[::1]:80', 'kvscope.localhost']) {
      expect(hostAllowed(header, local), header).toBe(true)
    }
  })

  it('may not name what a rebound DNS name would be', () => {
    for (const header of [
      'evil.example',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      '10.0.0.1',
      'notlocalhost',
    ]) {
      expect(hostAllowed(header, local), header).toBe(false)
    }
  })

  it('may name what the configuration allows', () => {
    const config = { host: '10.0.0.7', allowedHosts: ['API', 'kv.example'] }
    for (const header of ['10.0.0.7:4000', 'api:4000', 'KV.example'])
      expect(hostAllowed(header, config), header).toBe(true)
    expect(hostAllowed('other.example', config)).toBe(false)
  })
})

describe('the Origin header', () => {
  it('may be absent or the host that was asked', () => {
    expect(originAllowed(undefined, 'localhost:4000')).toBe(true)
    expect(originAllowed('http://localhost:4000', 'localhost:4000')).toBe(true)
    expect(originAllowed('https://kv.example', 'KV.example')).toBe(true)
  })

  it('may not be another site, another port, or a page without an origin', () => {
    for (const origin of ['http://evil.example', 'http://localhost:5000', 'http://localhost', 'null', '']) {
      expect(originAllowed(origin, 'localhost:4000'), origin).toBe(false)
    }
  })
})

describe('binding to the network', () => {
  it('is refused without tokens, and says what to set', () => {
    for (const host of ['0.0.0.0', '::', '10.0.0.7', 'example.org']) {
      const refusal = expect.objectContaining({ code: 'FORBIDDEN', hint: expect.stringContaining('KVSCOPE_TOKENS') })
      expect(() => refuseOpenNetwork({ host, tokens: [] }), host).toThrow(refusal)
    }
  })

  it('is allowed with tokens, and loopback without', () => {
    refuseOpenNetwork({ host: '0.0.0.0', tokens: [{ name: 'ann', secret: '0123456789abcdef' }] })
    for (const host of ['127.0.0.1', '::1', 'localhost']) refuseOpenNetwork({ host, tokens: [] })
    expect(isLoopback('0.0.0.0')).toBe(false)
  })
})
