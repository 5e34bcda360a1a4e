import { existsSync, mkdtempSync, readdirSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand, startCommand } from '../support/command-line.ts'
import { startTestHub, type TestHub } from '../support/hub-server.ts'
import { until } from '../support/processes.ts'
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts'

const root = mkdtempSync(join(tmpdir(), 'kvscope-hub-e2e-'))
const dataDir = join(root, 'data')
const cache = join(root, 'cache')
const secret = 'hf_0123456789abcdefghij'
let server: TestHub
let commit: string

beforeAll(async () => {
  server = await startTestHub()
  const folder = await writeTinyCheckpoint(join(root, 'tiny'))
  commit = server.pushFolder('lab/tiny', folder)
  server.pushFolder('lab/tiny', folder, 'refs/pr/3')
  server.protect('lab/tiny', secret, 'gated')
  variables = { HF_ENDPOINT: server.url, HF_HOME: root, HF_HUB_CACHE: cache, HF_TOKEN: secret }
})
afterAll(async () => {
  await server.close()
  await rm(root, { recursive: true, force: true })
})

let variables: Record<string, string>
const kvscope = (args: string[], other: Record<string, string> = {}) =>
  runCommand(args, dataDir, { ...variables, ...other })
/** bytes of the largest file that is not whole yet */
const partOf = (blobs: string) =>
  Math.max(
    0,
    ...readdirSync(blobs).map((name) => (name.endsWith('.incomplete') ? statSync(join(blobs, name)).size : 0)),
  )

describe('the command line with models of a hub', { timeout: 120_000 }, () => {
  it('describes one by its headers, and leaves its weights where they are', async () => {
    const inspect = await kvscope(['inspect', 'hub:lab/tiny', '--json'])
    expect(inspect).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(inspect.stdout)).toMatchObject({ name: 'tiny', family: 'gpt2', attentionKind: 'MHA', heads: 4 })
    const kv = await kvscope(['kv', 'hub:lab/tiny@refs/pr/3', '--context', '64', '--json'])
    expect(JSON.parse(kv.stdout)).toMatchObject({ kind: 'MHA' })
    const bare = await kvscope(['inspect', 'lab/tiny@refs/pr/3', '--json'])
    expect(JSON.parse(bare.stdout)).toMatchObject({ name: 'tiny', heads: 4 })
    expect(readdirSync(root)).not.toContain('cache')
  })

  it('says what is wrong in words, and never the token', async () => {
    const refused = await kvscope(['inspect', 'hub:lab/tiny'], { HF_TOKEN: 'hf_somebody-elses-token' })
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toMatch(/^error HUB_ACCESS_DENIED: lab\/tiny is gated/)
    expect(refused.stderr).toContain(`${server.url}/lab/tiny`)
    const absent = await kvscope(['generate', '--model', 'hub:lab/none', '--prompt', 'a', '--tokens', '1'])
    expect(absent.stderr).toMatch(/^error NOT_FOUND: .* shows no model lab\/none/)
    expect(refused.stderr + absent.stderr).not.toMatch(/hf_/)
  })

  it('goes on where a process was killed, with what had come by then', async () => {
    server.failNext('!model.safetensors', { stallAfter: 5000 })
    const generate = ['generate', '--model', 'hub:lab/tiny', '--prompt', 'abc', '--tokens', '2', '--json']
    const killed = startCommand(generate, dataDir, variables)
    const blobs = join(cache, 'models--lab--tiny/blobs')
    await until('a part of the weights', () => existsSync(blobs) && partOf(blobs) === 5000)
    killed.process.kill('SIGKILL')
    await killed.ended
    server.requests.length = 0
    expect((await kvscope(generate)).code).toBe(0)
    const ranges = server.requests.filter(({ path }) => path.includes('!model.safetensors')).map(({ range }) => range)
    expect(ranges).toEqual(['bytes=5000-'])
  })

  it('generates with one, and then without a network', async () => {
    const generate = ['generate', '--model', 'hub:lab/tiny', '--prompt', 'abc', '--tokens', '4', '--json']
    const first = await kvscope(generate)
    expect(first.code).toBe(0)
    server.requests.length = 0
    const offline = await kvscope(generate, { HF_HUB_OFFLINE: '1' })
    expect(offline.code).toBe(0)
    expect(JSON.parse(offline.stdout).text).toBe(JSON.parse(first.stdout).text)
    expect(server.requests).toEqual([])
  })

  it('measures one, with the commit in the record of the run', async () => {
    const args = ['bench', 'hub:lab/tiny', '-p', '8', '-n', '2', '-r', '2', '-o', 'json', '--quiet', '--json']
    const bench = await kvscope(args)
    expect(bench.stderr).toBe('')
    const { spec, subjects } = JSON.parse(bench.stdout)
    expect(spec.subjects[0].source).toEqual({ hub: { repo: 'lab/tiny', revision: 'main', commit } })
    expect(subjects).toMatchObject([{ name: 'tiny', fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) }])
    expect(bench.stdout).not.toContain(secret)
  })

  it('looks at the heads of one in a child, which fetches it', async () => {
    await rm(cache, { recursive: true })
    const heads = await kvscope(['heads', 'weights', 'hub:lab/tiny', '--json', '--quiet'])
    expect(heads.code, heads.stderr).toBe(0)
    expect(readdirSync(join(cache, 'models--lab--tiny/snapshots'))).toEqual([commit])
  })

  it('lists the cache and empties it', async () => {
    const ls = await kvscope(['cache', 'ls'])
    expect(ls.stdout).toMatch(new RegExp(`lab/tiny +${commit.slice(0, 10)} +main +4 `))
    expect((await kvscope(['cache', 'prune'])).stdout).toMatch(/^Nothing in /)
    const asked = await kvscope(['cache', 'prune', 'lab/tiny'])
    expect(asked.stdout).toContain('say --yes')
    expect((await kvscope(['cache', 'prune', 'lab/tiny', '--yes'])).stdout).toMatch(/are free again/)
    expect((await kvscope(['cache', 'ls'])).stdout).toBe(`No model of the hub is in ${cache}.\n`)
  })
})
