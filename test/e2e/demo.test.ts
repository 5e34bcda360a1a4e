import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { processesOf, runCommand, startCommand } from '../support/command-line.ts'
import { until } from '../support/processes.ts'
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts'

vi.setConfig({ testTimeout: 180_000 })

const folder = mkdtempSync(join(tmpdir(), 'kvscope-demo-'))
const dataDir = join(folder, 'data')
let model: string

beforeAll(async () => {
  model = await writeTinyCheckpoint(join(folder, 'tiny'))
})
afterAll(async () => {
  await runCommand(['reset', '--yes'], dataDir) // where a test failed before the last
  rmSync(folder, { recursive: true, force: true })
})

describe('kvscope demo', () => {
  it('goes from nothing to a stored run that it reads back, and ends with nothing running', async () => {
    const file = join(folder, 'run.json')
    const demo = await runCommand(['demo', '--quick', '--model', model, '--json', file], dataDir)
    expect(demo).toMatchObject({ code: 0 })
    for (const said of [
      '399.8 GB = 372.3 GiB',
      '50.3 MB = 48.0 MiB',
      'decode at depth 64',
      'WHAT THIS SHOWS',
      'THE HEADS: WHICH MATRICES THEY SHARE',
      'THE HEADS: WHERE THEY LOOK',
      '4 heads, 4 panels, no two alike',
      'heads attention DIR',
      'report latest',
      'export latest',
      'runs show latest',
    ]) {
      expect(demo.stdout).toContain(said)
    }
    for (const line of demo.stdout.split('\n')) expect([...line].length, line).toBeLessThanOrEqual(80)
    expect(demo.stdout).not.toContain('SYNTHETIC')
    expect(demo.stdout + demo.stderr).not.toContain('\u001b')
    expect(demo.stderr).toContain('applying migrations')
    const pictures = readdirSync(join(dataDir, 'demo')).toSorted()
    expect(pictures).toEqual(['attention-tiny.png', 'weights-WK-tiny.png', 'weights-WV-tiny.png'])
    for (const name of pictures) {
      expect(
        readFileSync(join(dataDir, 'demo', name))
          .subarray(1, 4)
          .toString(),
      ).toBe('PNG')
    }

    const run = JSON.parse(readFileSync(file, 'utf8'))
    expect(run).toMatchObject({ kind: 'BENCHMARK', status: 'SUCCEEDED', error: null, fraction: 1, queuePosition: null })
    expect(run.environment).toMatchObject({ hostname: expect.any(String), loadAtEnd: expect.any(Number) })
    expect(run.events.map(({ seq }: { seq: number }) => seq)).toEqual(
      run.events.map((_: unknown, index: number) => index + 1),
    )
    expect(run.events.at(-1)).toMatchObject({ status: 'SUCCEEDED' })
    expect(run.keyFigure).toMatchObject({ phase: 'DECODE', depth: 64, kvCacheBytes: 2 * 32 * 2 * 4 * (64 + 3) })
    expect(run.keyFigure.kvCacheBytes).toBe(run.keyFigure.kvCacheBytesPredicted)
    expect(run.keyFigure.subject.model).toMatchObject({ attentionKind: 'MHA', layerAttention: [{ kvHeads: 4 }] })
    expect(processesOf(dataDir)).toEqual([])

    const runs = JSON.parse((await runCommand(['runs', '--json'], dataDir)).stdout)
    const kinds = ['ATTENTION_MAPS', 'WEIGHT_SLICES', 'BENCHMARK']
    expect(runs).toMatchObject(kinds.map((kind) => ({ kind, status: 'SUCCEEDED', note: 'kvscope demo' })))
  })

  it('writes nothing but JSON to stdout where that is asked for, and serves until Ctrl-C', async () => {
    const demo = startCommand(['demo', '--quick', '--model', model, '--serve', '--json'], dataDir)
    await until('the playground', () => /Serving http\S+\/graphql/.test(demo.stderr()), 100_000)
    const [address = ''] = /http:\S+\/graphql/.exec(demo.stderr()) ?? []
    const page = await fetch(address, { headers: { accept: 'text/html' } })
    expect(await page.text()).toContain('<html')
    const log = join(dataDir, 'logs', 'demo.log')
    appendFileSync(log, 'a word of the first\n')
    const second = await runCommand(['demo', '--quick', '--model', model], dataDir)
    expect(second).toMatchObject({ code: 1 })
    expect(second.stderr).toContain(`process ${demo.process.pid}, which serves ${address.replace('/graphql', '')}`)
    expect(second.stderr).not.toContain('demo.log')
    expect(readFileSync(log, 'utf8')).toContain('a word of the first\n')
    demo.process.kill('SIGINT')
    const { code, stdout } = await demo.ended
    expect(code).toBe(130)
    expect(JSON.parse(stdout)).toMatchObject({ status: 'SUCCEEDED' })
    expect(processesOf(dataDir)).toEqual([])
  })

  // Of later moments a run this small may store no message: one within 200 ms of another is dropped.
  it.each(['attempt 1', 'opening the checkpoint'])(
    'cancels its run on Ctrl-C at "%s", and leaves no process',
    async (moment) => {
      // A server that asks for a token asks whoever cancels, too.
      const demo = startCommand(['demo', '--model', model], dataDir, { KVSCOPE_TOKENS: 'ann:only-ann-knows-this' })
      await until(moment, () => demo.stderr().includes(moment), 100_000)
      demo.process.kill('SIGINT')
      expect(await demo.ended).toMatchObject({ code: 130 })
      expect(processesOf(dataDir)).toEqual([])
      const [latest] = JSON.parse((await runCommand(['runs', '--limit', '1', '--json'], dataDir)).stdout)
      expect(latest).toMatchObject({ status: 'CANCELED', note: 'kvscope demo' })
    },
  )

  it('ends with what is wrong with a model before it starts anything', async () => {
    const demo = await runCommand(['demo', '--model', join(folder, 'nowhere')], dataDir)
    expect(demo).toMatchObject({ code: 1 })
    expect(demo.stderr).toMatch(/^error NOT_FOUND: .*nowhere/)
  })

  it('is removed by reset, pictures included', async () => {
    expect(await runCommand(['reset', '--yes'], dataDir)).toMatchObject({ code: 0 })
    expect(existsSync(dataDir)).toBe(false)
  })
})
