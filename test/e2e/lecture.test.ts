import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { auditLecture } from '../../src/architecture/lecture-claims.ts'
import { processesOf, runCommand, startCommand } from '../support/command-line.ts'
import { startTestHub } from '../support/hub-server.ts'
import { until } from '../support/processes.ts'
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts'

vi.setConfig({ testTimeout: 240_000 })

const folder = mkdtempSync(join(tmpdir(), 'kvscope-lecture-'))
const dataDir = join(folder, 'data')
const run = (...args: string[]) => runCommand(args, dataDir)

afterAll(async () => {
  await run('reset', '--yes') // where a test failed
  rmSync(folder, { recursive: true, force: true })
})

describe('kvscope lecture', () => {
  it('hands over every claim as JSON', async () => {
    const { code, stdout } = await run('lecture', '--json')
    expect(code).toBe(0)
    expect(JSON.parse(stdout).claims).toEqual(auditLecture())
  })

  it('names ways to see its claims that work', async () => {
    const cheap = /^kvscope (kv|inspect|lecture(?! --run)) ?/
    const commands = [...new Set(auditLecture().map(({ seeItWith }) => seeItWith))].filter((line) => cheap.test(line))
    expect(commands.length).toBeGreaterThanOrEqual(6)
    for (const command of commands) {
      const { code, stdout, stderr } = await run(...command.split(' ').slice(1))
      expect({ command, code, stderr }).toEqual({ command, code: 0, stderr: '' })
      expect(stdout.length, command).toBeGreaterThan(100)
    }
  })

  it('takes what belongs to the experiment for wrong usage without it, and refuses a page that it could not write', async () => {
    const alone = await run('lecture', '--small')
    expect(alone).toMatchObject({ code: 2, stdout: '' })
    expect(alone.stderr).toContain('--small goes with --run')
    const nowhere = await run('lecture', '--run', '--small', '--out', join(folder, 'no-such-folder', 'page.html'))
    expect(nowhere).toMatchObject({ code: 1, stdout: '' })
    expect(nowhere.stderr).toContain('error VALIDATION_FAILED: The file of --out')
    expect(existsSync(dataDir)).toBe(false)
  })

  it("replays the lecture's experiment, which its own method's warnings flag, and writes it all on one page", async () => {
    const hub = await startTestHub()
    const commit = hub.pushFolder('lab/tiny', await writeTinyCheckpoint(join(folder, 'tiny')))
    const [page, json] = [join(folder, 'lecture.html'), join(folder, 'lecture.json')]
    const asked = ['lecture', '--run', '--small', '--gpt2', 'hub:lab/tiny', '--out', page, '--json', json]
    const { code, stdout } = await runCommand(asked, dataDir, { HF_ENDPOINT: hub.url, HF_HOME: folder })
    await hub.close()
    expect(code).toBe(0)
    expect(stdout).toContain(`gpt2: lab/tiny of the hub at ${commit}`)
    expect(stdout).toContain('tiny falcon: SYNTHETIC WEIGHTS')
    for (const part of ['AS IT WAS', 'AS IT SHOULD BE', 'THE HONEST PAIR', 'THE HEADS']) expect(stdout).toContain(part)

    const { asItWas, asItShouldBe, honestPair, models } = JSON.parse(readFileSync(json, 'utf8'))
    expect(asItWas.spec).toMatchObject({ order: 'GIVEN', warmUp: false, blocks: 1 })
    expect(asItWas.spec.subjects[0].source.hub).toMatchObject({ repo: 'lab/tiny', commit })
    const cold = asItWas.series.filter(({ phase }: { phase: string }) => phase === 'COLD')
    expect(
      cold.map(({ subject, samples }: { subject: { name: string }; samples: number[] }) => [
        subject.name,
        samples.length,
      ]),
    ).toEqual([
      ['gpt2', 1],
      ['tiny falcon', 1],
    ])
    const flagged = /flagged by (\d+) warnings: ([A-Z_, \n]+)\./.exec(stdout)
    expect(Number(flagged?.[1])).toBeGreaterThanOrEqual(4)
    for (const name of ['ORDER_FIXED', 'NOT_WARMED_UP', 'NO_CACHE_READ', 'MODELS_DIFFER'])
      expect(flagged?.[2]).toContain(name)

    expect(
      asItShouldBe.subjects.map(({ model: { attentionKind } }: { model: { attentionKind: string } }) => attentionKind),
    ).toEqual(['MHA', 'MHA'])
    expect(honestPair.subjects.map(({ model: { kvHeads } }: { model: { kvHeads: number } }) => kvHeads)).toEqual([4, 1])
    const shares = honestPair.series
      .filter(
        ({ phase, subject }: { phase: string; subject: { index: number } }) =>
          phase === 'DECODE' && subject.index === 0,
      )
      .map(({ kvShareOfBytes }: { kvShareOfBytes: number }) => kvShareOfBytes)
    expect(shares).toHaveLength(4)
    expect(shares.toSorted((a: number, b: number) => a - b)).toEqual(shares)
    expect(stdout.replace(/\n {2}/g, ' ')).toContain(
      `"the shared K" would be rows 512 to 575 of its fused weight: they are head 2's W_V`,
    )
    expect(
      models.map(
        ({ attention }: { attention: { recorded: { maps: unknown[] }[] } }) => attention.recorded[0]?.maps.length,
      ),
    ).toEqual([4, 8])

    const html = readFileSync(page, 'utf8')
    expect(html.match(/<h2>/g)).toHaveLength(6)
    // The grids of W_K and W_V and the last layer's maps of both, and what a wrong reading of Falcon would show.
    expect(html.match(/<figure>/g)?.length).toBeGreaterThanOrEqual(8)
    expect(html).toContain('SYNTHETIC WEIGHTS (tiny falcon)')
    expect(html.replaceAll(/xmlns(:\w+)?="[^"]*"/g, '')).not.toMatch(/(href|src)="?https?:/)
    expect(processesOf(dataDir)).toEqual([])
  })

  it('ends with Ctrl-C, and leaves nothing running', async () => {
    const command = startCommand(['lecture', '--run', '--small', '--out', join(folder, 'ended.html')], dataDir)
    await until('the experiment', () => command.stderr().includes('as it was'), 100_000)
    command.process.kill('SIGINT')
    expect((await command.ended).code).toBe(130)
    expect(existsSync(join(folder, 'ended.html'))).toBe(false)
    expect(processesOf(dataDir)).toEqual([])
  })
})
