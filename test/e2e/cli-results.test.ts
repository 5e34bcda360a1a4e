import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { runCommand, startCommand } from '../support/command-line.ts'
import { until } from '../support/processes.ts'
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts'

vi.setConfig({ testTimeout: 120_000 })

const folder = mkdtempSync(join(tmpdir(), 'kvscope-results-'))
const dataDir = join(folder, 'data')
const run = (...args: string[]) => runCommand(args, dataDir)
let model: string

beforeAll(async () => {
  model = await writeTinyCheckpoint(join(folder, 'tiny'))
})
afterAll(async () => {
  await run('reset', '--yes')
  rmSync(folder, { recursive: true, force: true })
})

describe('a result that goes to a file', () => {
  it.each([
    ['demo', '--quick', '--model'],
    ['bench', '-p', '16', '-n', '0'],
    ['generate', '--prompt', 'The', '--model'],
    ['inspect'],
    ['kv'],
  ])('is refused by %s before any work where the file cannot be written', async (...command) => {
    const file = join(folder, 'no-such-folder', 'result.json')
    const refused = await run(...command, model, '--json', file)
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toContain(`error VALIDATION_FAILED: The file of --json, ${file}, cannot be written: ENOENT`)
    expect(refused.stderr).not.toContain(' at ')
    expect(existsSync(dataDir)).toBe(false)
  })

  it('is refused by commands over stored runs, and by the services, where the file is a folder', async () => {
    for (const command of [['runs'], ['runs', 'show', 'latest'], ['migrate'], ['serve'], ['worker'], ['reset', '-y']]) {
      const refused = await run(...command, '--json', folder)
      expect(refused, command.join(' ')).toMatchObject({ code: 1, stdout: '' })
      expect(refused.stderr).toContain(`error VALIDATION_FAILED: The file of --json, ${folder}, `)
    }
    expect(existsSync(dataDir)).toBe(false)
  })

  it('leaves a file that stood there as it was where the command then fails, and makes none', async () => {
    const results = join(folder, 'results')
    mkdirSync(results)
    writeFileSync(join(results, 'old.json'), 'old')
    for (const name of ['old.json', 'new.json']) {
      expect(await run('kv', 'no-such-model', '--json', join(results, name))).toMatchObject({ code: 1 })
    }
    expect(readdirSync(results)).toEqual(['old.json'])
    expect(readFileSync(join(results, 'old.json'), 'utf8')).toBe('old')
  })

  it.runIf(existsSync('/dev/full'))('is printed all the same where the disk is full by then', async () => {
    const full = await run('kv', 'gpt2', '--json', '/dev/full')
    expect(full).toMatchObject({ code: 1, stdout: expect.stringContaining(' bytes') })
    expect(full.stderr).toMatch(/^error VALIDATION_FAILED: The file of --json, \/dev\/full, cannot be written: ENOSPC/)
  })
})

describe('kvscope migrate', () => {
  it('says which migrations it has applied, and none the second time', async () => {
    const names = readdirSync(new URL('../../prisma/migrations', import.meta.url)).filter((name) => /^\d/.test(name))
    expect(names.length).toBeGreaterThan(0)
    expect(JSON.parse((await run('migrate', '--json')).stdout)).toEqual({ applied: names.sort() })
    expect(JSON.parse((await run('migrate', '--json')).stdout)).toEqual({ applied: [] })
  })
})

describe('the exit code after SIGTERM', () => {
  it('is 0 for a worker that ended in order, as --help says', async () => {
    expect((await run('--help')).stdout).toContain('0 where serve, worker or demo --serve ended in order')
    const worker = startCommand(['worker'], dataDir)
    await until('the worker', () => worker.stderr().includes('waits for runs'))
    worker.process.kill('SIGTERM')
    expect(await worker.ended).toMatchObject({ code: 0 })
  })

  it('is 143 for a command that was not done', async () => {
    const generate = startCommand(['generate', '--model', model, '--prompt', 'The', '-n', '120'], dataDir)
    await until('its first word', () => generate.stdout() !== '')
    generate.process.kill('SIGTERM')
    expect(await generate.ended).toMatchObject({ code: 143 })
  })
})
