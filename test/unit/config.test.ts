import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readChildEnvironment, readConfig } from '../../src/config.ts'

describe('the configuration', () => {
  it('needs nothing set', () => {
    expect(readConfig({})).toMatchObject({
      databaseUrl: null,
      redisUrl: null,
      host: '127.0.0.1',
      port: 4000,
      dataDir: resolve('.kvscope'),
      tokens: [],
      deviceTimeoutMs: 60_000,
      colour: true,
      colorterm: null,
    })
  })

  it('takes an empty variable for one that is not set', () => {
    expect(readConfig({ DATABASE_URL: '', PORT: '', NO_COLOR: '' })).toMatchObject({
      databaseUrl: null,
      port: 4000,
      colour: true,
      colorterm: null,
    })
  })

  it('cannot be changed afterwards', () => {
    expect(Object.isFrozen(readConfig({}))).toBe(true)
  })

  it.each([
    ['PORT', '70000'],
    ['DATABASE_URL', 'mysql://somewhere'],
    ['KVSCOPE_QUEUE_LOCK_SECONDS', '-1'],
    ['KVSCOPE_LOG_LEVEL', 'loud'],
  ])('refuses %s=%s and names the variable', (name, value) => {
    expect(() => readConfig({ [name]: value })).toThrow(new RegExp(`^${name}`))
  })

  it('refuses a short secret without repeating it', () => {
    const read = () => readConfig({ KVSCOPE_TOKENS: 'teacher:hunter2' })
    expect(read).toThrow(/KVSCOPE_TOKENS.*16 characters/)
    expect(read).not.toThrow(/hunter2/)
  })

  it('splits tokens, hosts and roots', () => {
    const config = readConfig({
      KVSCOPE_TOKENS: 'a:0123456789abcdef, b:with:colons:0123456789',
      KVSCOPE_ALLOWED_HOSTS: 'api, kv.example',
      KVSCOPE_MODEL_ROOTS: ['one', '/two'].join(process.platform === 'win32' ? ';' : ':'),
    })
    expect(config.tokens).toEqual([
      { name: 'a', secret: '0123456789abcdef' },
      { name: 'b', secret: 'with:colons:0123456789' },
    ])
    expect(config.allowedHosts).toEqual(['api', 'kv.example'])
    expect(config.modelRoots).toEqual([resolve('one'), resolve('/two')])
  })

  it("means by the hub's variables what Python means by them", () => {
    const { hub } = readConfig({ XDG_CACHE_HOME: '/cache' })
    expect(hub).toEqual({
      endpoint: 'https://huggingface.co',
      token: null,
      tokenFile: resolve('/cache/huggingface/token'),
      cacheDir: resolve('/cache/huggingface/hub'),
      offline: false,
    })
    const home = readConfig({
      HF_HOME: '~/hf',
      HF_TOKEN: ' hf_secret\n',
      HF_ENDPOINT: 'https://mirror.example/hf/',
    }).hub
    expect(home).toMatchObject({ token: 'hf_secret', endpoint: 'https://mirror.example/hf' })
    expect(home.cacheDir).toBe(join(homedir(), 'hf', 'hub'))
    expect(readConfig({ HF_HOME: '/hf', HF_HUB_CACHE: '/models' }).hub.cacheDir).toBe(resolve('/models'))
    for (const [text, offline] of [
      ['1', true],
      ['True', true],
      ['ON', true],
      ['0', false],
      ['no', false],
    ] as const) {
      expect(readConfig({ HF_HUB_OFFLINE: text }).hub.offline, text).toBe(offline)
    }
  })

  it('passes no secret to a process that runs models', () => {
    const passed = readChildEnvironment({
      PATH: '/bin',
      CUDA_VISIBLE_DEVICES: '0',
      DATABASE_URL: 'postgresql://kvscope:secret@db/kvscope',
      REDIS_URL: 'redis://:secret@queue',
      KVSCOPE_TOKENS: 'a:0123456789abcdef',
      AWS_SECRET_ACCESS_KEY: 'secret',
      HF_TOKEN: 'hf_secret',
    })
    expect(passed).toEqual({ PATH: '/bin', CUDA_VISIBLE_DEVICES: '0' })
  })
})
