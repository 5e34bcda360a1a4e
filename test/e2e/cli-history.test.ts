import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type RunningCommand, runCommand, startCommand } from '../support/command-line.ts'
import { until } from '../support/processes.ts'
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts'

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 })

const folder = mkdtempSync(join(tmpdir(), 'kvscope-history-'))
const dataDir = join(folder, 'data')
const models = join(folder, 'models')
const run = (...args: string[]) => runCommand(args, dataDir)
const read = async (...args: string[]) => JSON.parse((await run(...args, '--json')).stdout)
let service: RunningCommand
let address = ''
let model = ''
/** The same benchmark twice, the second time with the model's K/V heads pooled into one besides. */
let first = ''
let second = ''

beforeAll(async () => {
  model = await writeTinyCheckpoint(join(models, 'tiny'), 256)
  service = startCommand(['serve', '--json'], dataDir, { PORT: '0', KVSCOPE_MODEL_ROOTS: models })
  await until('the service', () => {
    if (service.process.exitCode !== null) throw new Error(service.stderr())
    return service.stdout().includes('}')
  })
  address = JSON.parse(service.stdout()).address
  const bench = (...more: string[]) => read('bench', model, '-p', '0', '-n', '4', '-r', '5', ...more)
  first = (await bench('--label', 'branch=main')).id
  second = (await bench('--kv-heads', '1', '--label', 'branch=pooled')).id
})

afterAll(async () => {
  service.process.kill('SIGTERM')
  await service.ended
  await run('reset', '--yes')
  rmSync(folder, { recursive: true, force: true })
})

describe('kvscope compare', () => {
  it('ends with 0 where all is fine and with 2 where nobody can tell, by the conditions that it was given', async () => {
    const fine = await run('compare', first, second, '--fail-if', 'tiny kv larger 0%')
    expect(fine, fine.stderr).toMatchObject({ code: 0 })
    expect(fine.stdout).toContain('tiny kv larger 0%: fine')
    const unknown = await run('compare', first, second, '--fail-if', 'load slower 5%')
    expect(unknown.code).toBe(2)
    expect(unknown.stdout).toContain('load slower 5%: CANNOT TELL')
    const pooled = await run('compare', first, second, '--fail-if', 'tiny-kv1 kv larger 0%')
    expect(pooled.code).toBe(2)
    expect(pooled.stdout).toContain('NOT_COMPARABLE')
    expect(await run('compare', first, second)).toMatchObject({ code: 0 })
  })

  it('keeps failures and wrong usage apart from what a comparison says', async () => {
    expect(await run('compare', first, '0193a1b2-0000-7000-8000-000000000000')).toMatchObject({ code: 3, stdout: '' })
    const misread = await run('compare', first, second, '--fail-if', 'decode is slow')
    expect(misread).toMatchObject({ code: 64, stdout: '' })
    expect(misread.stderr).toContain("'decode slower 5%'")
    expect(await run('compare', first)).toMatchObject({ code: 64, stdout: '' })
    expect(await run('compare', '--no-such-option')).toMatchObject({ code: 64, stdout: '' })
    expect((await run('compare', '--help')).code).toBe(0)
  })

  it('finds its baseline by name, and speaks to pull requests and to github-action-benchmark', async () => {
    expect(await run('runs', 'baseline', 'set', 'main', first)).toMatchObject({ code: 0 })
    const markdown = await run('compare', '--baseline', 'main', second, '-o', 'md', '--fail-if', 'tiny kv larger 0%')
    expect(markdown).toMatchObject({ code: 0 })
    expect(markdown.stdout).toMatch(new RegExp(`^\\*\\*kvscope: .*\\*\\* against \`main\` \\(run \`${first}\`\\)\n`))
    const list = JSON.parse((await run('compare', '--baseline', 'main', '-o', 'github')).stdout)
    for (const entry of list) {
      expect(entry).toMatchObject({ name: expect.any(String), unit: 'ms', value: expect.any(Number) })
    }
    expect(list.map(({ name }: { name: string }) => name)).toContain('tiny tg4')
    const tokens = JSON.parse((await run('compare', first, second, '-o', 'github', '--metric', 'tokens')).stdout)
    expect(new Set(tokens.map(({ unit }: { unit: string }) => unit))).toEqual(new Set(['tokens/s']))
    expect(await read('compare', first, second, '--fail-if', 'tiny kv larger 0%')).toMatchObject({
      outcome: 'fine',
      conditions: [{ condition: 'tiny kv larger 0%', outcome: 'fine' }],
    })
    expect((await run('runs', 'baseline')).stdout).toContain(first)
  })
})

describe('kvscope runs', () => {
  const ids = async (...filter: string[]) => (await read('runs', ...filter)).map(({ id }: { id: string }) => id)

  it('finds runs by label, K/V heads, machine and age', async () => {
    expect(await ids('--label', 'branch=main')).toEqual([first])
    expect(await ids('--kv-heads', '1', '--kind', 'benchmark')).toEqual([second])
    expect(await ids('--attention-kind', 'mqa', '--device', 'cpu')).toEqual([second])
    expect(await ids('--since', '1h', '--text', 'kvscope bench')).toEqual([second, first])
    expect(await ids('--until', '2020-01-01')).toEqual([])
    expect(await ids('--host', 'no-such-host')).toEqual([])
    expect(await run('runs', '--since', 'yesterday')).toMatchObject({ code: 2 })
  })

  it('edits what it is told to, and leaves the rest', async () => {
    const edited = await read('runs', 'edit', second, '--label', 'commit=abc', '--note', 'nightly', '--pin')
    expect(edited).toMatchObject({
      note: 'nightly',
      pinned: true,
      labels: [
        { key: 'branch', value: 'pooled' },
        { key: 'commit', value: 'abc' },
      ],
    })
    const again = await read('runs', 'edit', 'latest', '--unlabel', 'commit', '--note', '')
    expect(again).toMatchObject({ note: null, pinned: true, labels: [{ key: 'branch', value: 'pooled' }] })
    expect(await run('runs', 'edit', second)).toMatchObject({ code: 2, stdout: '' })
    expect(await run('runs', 'edit', second, '--pin', '--unpin')).toMatchObject({ code: 2, stdout: '' })
  })

  it('says what a rule would delete, deletes nothing in a pipe, and keeps pinned runs and baselines', async () => {
    const { id: old } = await read('bench', model, '-p', '0', '-n', '2', '-r', '1')
    const shown = await run('runs', 'prune', '--older-than', '0')
    expect(shown).toMatchObject({ code: 0 })
    expect(shown.stdout).toContain('1 would go; of those as old stay 1 pinned, 1 named by a baseline.')
    expect(shown.stdout).toContain('Nothing was deleted')
    expect(await ids('--limit', '1')).toEqual([old])
    const pruned = await read('runs', 'prune', '--older-than', '0', '--yes')
    expect(pruned).toMatchObject({ drops: 1, deleted: 1 })
    expect(await ids()).toEqual([second, first])
  })

  it('deletes by name, but not what a baseline names', async () => {
    const { id } = await read('bench', model, '-p', '0', '-n', '2', '-r', '1')
    const removed = await run('runs', 'rm', 'latest', first)
    expect(removed).toMatchObject({ code: 1, stdout: `deleted ${id}\n` })
    expect(removed.stderr).toContain('error CONFLICT: ')
    expect(await ids()).toEqual([second, first])
    expect(await run('runs', 'show', 'latest~7')).toMatchObject({ code: 1, stdout: '' })
  })

  it('follows a test over the runs', async () => {
    const text = await run('runs', 'trend', 'tiny', '--test', 'tg4')
    expect(text).toMatchObject({ code: 0 })
    expect(text.stdout).toMatch(/^tiny, tg4, ms\n[▁-█]{2}\n2 runs from /)
    expect(
      (await read('runs', 'trend', 'tiny', '--test', 'tg4')).points.map(({ runId }: { runId: string }) => runId),
    ).toEqual([first, second])
    expect(await run('runs', 'trend', 'tiny')).toMatchObject({ code: 2, stdout: '' })
  })
})

describe('kvscope bench --server', () => {
  it("has a server's worker measure, quietly if asked", async () => {
    const args = ['bench', model, '-p', '8', '-n', '0', '-r', '5', '-o', 'jsonl', '--quiet', '--server', address]
    const measured = await run(...args, '--note', 'on the server')
    expect(measured, measured.stderr).toMatchObject({ code: 0, stderr: '' })
    const [row, ...others] = measured.stdout.trimEnd().split('\n')
    expect(others).toEqual([])
    expect(JSON.parse(row ?? '')).toMatchObject({ n_prompt: 8, n_gen: 0, model_filename: model })
    expect(await read('runs', '--limit', '1')).toMatchObject([{ note: 'on the server', status: 'SUCCEEDED' }])
  })

  it('cancels the run at Ctrl-C', async () => {
    const long = ['bench', model, '-p', '0', '-n', '200', '-r', '1000', '--server', address]
    const bench = startCommand(long, dataDir)
    await until('the run', async () => (await read('runs', '--limit', '1'))[0]?.status === 'RUNNING')
    bench.process.kill('SIGINT')
    expect(await bench.ended).toMatchObject({ code: 130, stdout: '' })
    await until('its end', async () => (await read('runs', '--limit', '1'))[0]?.status === 'CANCELED')
  })

  it('refuses --host and --worker without a server, and an unknown model of the server by its code', async () => {
    expect(await run('bench', model, '--host', 'alpha')).toMatchObject({ code: 2, stdout: '' })
    expect(await run('bench')).toMatchObject({ code: 2, stdout: '' })
    const missing = await run('bench', 'models/nowhere', '--server', address)
    expect(missing).toMatchObject({ code: 1, stdout: '' })
    expect(missing.stderr).toMatch(/error (NOT_FOUND|PATH_FORBIDDEN): /)
  })
})
