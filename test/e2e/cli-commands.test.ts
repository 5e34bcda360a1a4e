import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { syntheticKey } from '../../src/checkpoints/open.ts'
import { processesOf, runCommand } from '../support/command-line.ts'
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts'

vi.setConfig({ testTimeout: 240_000 })

const folder = mkdtempSync(join(tmpdir(), 'kvscope-cli-'))
const dataDir = join(folder, 'data')
const run = (...args: string[]) => runCommand(args, dataDir)
const generateFox = (checkpoint: string, ...more: string[]) =>
  run('generate', '--model', checkpoint, '--prompt', 'fox', '-n', '6', '--json', ...more)
let model: string

beforeAll(async () => {
  model = await writeTinyCheckpoint(join(folder, 'tiny'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('commands that need no service', () => {
  it('explains itself and every command, with examples', async () => {
    const help = await run('--help')
    expect(help).toMatchObject({ code: 0, stderr: '' })
    expect(help.stdout).toContain('Exit codes: 0 fine, 1 failed, 2 wrong usage, 130 interrupted')
    const bench = await run('bench', '--help')
    expect(bench.code).toBe(0)
    expect(bench.stdout).toMatch(/Examples:\n {2}\$ kvscope bench/)
  })

  it('takes wrong usage for 2, and a failure for 1 with code and hint but no stack', async () => {
    expect(await run('kv')).toMatchObject({ code: 2, stdout: '' })
    expect(await run('kv', 'gpt2', '--batch', 'many')).toMatchObject({ code: 2, stdout: '' })
    expect(await run('no-such-command')).toMatchObject({ code: 2, stdout: '' })
    const unknown = await run('kv', 'gpt-nope')
    expect(unknown).toMatchObject({ code: 1, stdout: '' })
    expect(unknown.stderr).toMatch(/^error NOT_FOUND: .*gpt-nope.*\n {2}There are gpt2, /)
    expect(unknown.stderr).not.toContain(' at ')
  })

  it('multiplies a KV cache out as the lecture does, and says what it is in GB and GiB', async () => {
    const { code, stdout } = await run('kv', 'gpt3-175b', '--context', '1024')
    expect(code).toBe(0)
    expect(stdout).toContain('96 x 1 x 96 x 128 x 2 x 1,024 x 2 = 4,831,838,208 bytes\n4.83 GB = 4.50 GiB')
    expect(stdout).not.toContain('\u001b[')
    const json = JSON.parse((await run('kv', 'gpt3-175b', '--context', '1024', '--json')).stdout)
    expect(json.bytes).toBe(4_831_838_208)
  })

  it('says what a checkpoint is, with its evidence', async () => {
    const { stdout } = await run('inspect', model)
    expect(stdout).toContain('MHA, family gpt2')
    expect(stdout).toMatch(/config says MHA: .*\n· shapes says MHA: /)
    const { tensors } = JSON.parse((await run('inspect', model, '--json')).stdout)
    expect(tensors).toEqual([{ dtype: 'F32', tensors: 28, bytes: expect.any(Number) }])
  })

  it('still says what a damaged checkpoint is, and what its weights and config.json do not agree on', async () => {
    const damaged = await writeTinyCheckpoint(join(folder, 'damaged'))
    const file = join(damaged, 'config.json')
    const whole = JSON.parse(readFileSync(file, 'utf8'))
    writeFileSync(file, JSON.stringify({ ...whole, n_layer: 3 }))
    const lacking = await run('inspect', damaged)
    expect(lacking).toMatchObject({ code: 0, stdout: expect.stringContaining('MHA, family gpt2') })
    expect(lacking.stdout.replace(/\n {2}/g, ' ')).toContain(`lacks tensor "h.2.ln_1.weight" [32]`)
    writeFileSync(file, JSON.stringify({ ...whole, n_layer: 1 }))
    const { checkpoint } = JSON.parse((await run('inspect', damaged, '--json')).stdout)
    expect(checkpoint.tensorFaults).toEqual([])
    expect(checkpoint.unexpectedTensors).toHaveLength(12)
    expect(checkpoint.unexpectedTensors).toContain('h.1.mlp.c_fc.weight')
    expect((await run('inspect', model)).stdout).not.toContain('TENSORS')
  })

  it('streams the same greedy text twice, and hands its tokens over as JSON', async () => {
    const args = ['generate', '--model', model, '--prompt', 'The quick', '-n', '12']
    const file = join(folder, 'generated.json')
    const first = await run(...args, '--json', file)
    expect(first).toMatchObject({ code: 0 })
    const { text, tokens, promptTokens } = JSON.parse(readFileSync(file, 'utf8'))
    expect(first.stdout).toBe(`The quick${text}\n`)
    expect(promptTokens).toEqual([...Buffer.from('The quick')])
    expect(tokens).toHaveLength(12)
    expect(JSON.parse((await run(...args, '--json')).stdout).tokens).toEqual(tokens)
  })

  it('ends a text where its checkpoint does, unless it is told to go on', async () => {
    const whole = JSON.parse((await generateFox(model)).stdout)
    const ending = await writeTinyCheckpoint(join(folder, 'ending'))
    const [, , stop] = whole.tokens
    writeFileSync(join(ending, 'generation_config.json'), JSON.stringify({ eos_token_id: [255, stop] }))
    const ended = JSON.parse((await generateFox(ending)).stdout)
    expect(ended.tokens).toEqual(whole.tokens.slice(0, whole.tokens.indexOf(stop)))
    expect(JSON.parse((await generateFox(ending, '--ignore-eos')).stdout).tokens).toEqual(whole.tokens)
  })

  it('says of synthetic weights what they are, also of those in a folder', async () => {
    const synthetic = await writeTinyCheckpoint(join(folder, 'synthetic'), 128, { [syntheticKey]: 'true' })
    const notice = 'SYNTHETIC WEIGHTS: drawn from a seed; the text means nothing.'
    expect((await generateFox(synthetic)).stderr).toContain(notice)
    expect((await generateFox(model)).stderr).not.toContain(notice)
  })
})

describe('commands over stored runs', () => {
  it('measures in its own process, and finds the run again with all it said', async () => {
    const args = [
      'bench',
      model,
      '--kv-heads',
      '2',
      '-p',
      '16',
      '-n',
      '4',
      '-d',
      '0,32',
      '-r',
      '4',
      '--prompt',
      'the fox',
    ]
    const file = join(folder, 'run.json')
    const bench = await run(...args, '--json', file)
    expect(bench).toMatchObject({ code: 0 })
    const stored = JSON.parse(readFileSync(file, 'utf8'))
    expect(stored).toMatchObject({ kind: 'BENCHMARK', status: 'SUCCEEDED', attempt: 1 })
    const measured = stored.series.filter(({ subject }: { subject: { index: number } }) => subject.index === 1)
    expect(measured.map(({ phase, test }: { phase: string; test: string | null }) => [phase, test])).toEqual([
      ['LOAD', null],
      ['COLD', null],
      ['FORWARD', null],
      ['PREFILL', 'pp16'],
      ['DECODE', 'tg4'],
      ['PREFILL', 'pp16 @ d32'],
      ['DECODE', 'tg4 @ d32'],
    ])
    expect(stored.comparison.map(({ phase }: { phase: string }) => phase)).toContain('DECODE')
    expect(bench.stdout).toContain('decode at depth 32')

    const shown = await run('runs', 'show', 'latest', '--json')
    expect(JSON.parse(shown.stdout)).toEqual(stored)
    const list = await run('runs', '--json')
    expect(JSON.parse(list.stdout).map(({ id }: { id: string }) => id)).toEqual([stored.id])
    const verdict = (text: string) => text.slice(text.indexOf('VERDICT: ')).split('\n').slice(0, 8)
    expect(verdict((await run('runs', 'show', stored.id)).stdout)).toEqual(verdict(bench.stdout))

    const second = await run(...args, '-o', 'csv')
    const lines = second.stdout.split('\r\n')
    expect(lines).toHaveLength(1 + 2 * 6 + 1)
    expect(lines[0]).toMatch(/^cpu_info,backends,model_filename,model_type,model_size,model_n_params,n_threads,/)
    expect(lines.find((line) => line.includes(',pp16,'))).toMatch(/,16,0,0,\d{4}-\d\d-\d\dT[\d:]+Z,\d+,\d+,/)
    const [latest] = JSON.parse((await run('runs', '--limit', '1', '--json')).stdout)
    const compared = await run('compare', stored.id, latest.id, '--json')
    const { rows } = JSON.parse(compared.stdout)
    expect(rows).toHaveLength(14)
    for (const row of rows) expect(['FASTER', 'SLOWER', 'NO_DIFFERENCE', 'INCONCLUSIVE']).toContain(row.verdict)
    expect(processesOf(dataDir)).toEqual([])
  })

  it('refuses a benchmark beyond the positions of its model', async () => {
    const bench = await run('bench', model, '-p', '4096', '-n', '0')
    expect(bench).toMatchObject({ code: 1, stdout: '' })
    expect(bench.stderr).toContain('error CONTEXT_EXCEEDED: ')
  })

  it('asks before it removes, and then leaves nothing', async () => {
    const refused = await run('reset')
    expect(refused).toMatchObject({ code: 1 })
    expect(refused.stderr).toContain('add --yes')
    expect(await run('reset', '--yes')).toMatchObject({ code: 0, stdout: expect.stringContaining(dataDir) })
    expect(await run('reset', '--yes')).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing') })
  })
})
