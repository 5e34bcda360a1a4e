import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { readNpy } from '../../src/cli/read-npy.ts'
import { processesOf, runCommand } from '../support/command-line.ts'
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts'

vi.setConfig({ testTimeout: 240_000 })

const folder = mkdtempSync(join(tmpdir(), 'kvscope-heads-'))
const dataDir = join(folder, 'data')
const out = join(folder, 'pictures')
const run = (...args: string[]) => runCommand(args, dataDir)
const at = (name: string) => join(folder, name)
const read = (name: string) => JSON.parse(readFileSync(at(name), 'utf8'))
let model: string

beforeAll(async () => {
  model = await writeTinyCheckpoint(at('tiny'))
})
afterAll(async () => {
  await run('reset', '--yes')
  rmSync(folder, { recursive: true, force: true })
})

function expectPlain({ stdout, stderr }: { stdout: string; stderr: string }) {
  expect(stdout + stderr).not.toContain('\u001b')
  for (const line of stdout.split('\n')) expect([...line].length, line).toBeLessThanOrEqual(80)
}

describe('kvscope heads weights', () => {
  it('reads, stores, paints and writes what heads share, the same in all forms', async () => {
    const args = ['heads', 'weights', model, '--kv-heads', '2', '--projections', 'K,O', '--rows', '6']
    const looked = await run(...args, '--out', out, '--json', at('weights.json'))
    expect(looked).toMatchObject({ code: 0 })
    expectPlain(looked)
    expect(looked.stdout).toContain('2 matrices, read by 4 heads, 2.05 kB in place of 4.10 kB')
    expect(looked.stdout).toMatch(/layer 0 W_K +2 {2}2 heads each +0 /)
    expect(looked.stderr).toContain(`28 files written to ${out}`)

    const stored = read('weights.json')
    expect(stored).toMatchObject({ kind: 'WEIGHT_SLICES', status: 'SUCCEEDED', attempt: 1, note: 'kvscope heads' })
    expect(stored.slices).toHaveLength(8)
    const [first, second, third] = stored.slices
    expect(first).toMatchObject({ projection: 'K', head: 0, kvHead: 0, rows: 6, columns: 8 })
    expect(second.values).toEqual(first.values)
    expect(third.values).not.toEqual(first.values)
    const { shape, values } = readNpy(readFileSync(join(out, 'weights-L0-K-H1.npy')))
    expect(shape).toEqual([6, 8])
    expect([...values]).toEqual(first.values.flat())
    for (const name of ['weights-L0-K-grid', 'weights-L0-O-H3']) {
      expect(readFileSync(join(out, `${name}.svg`), 'utf8')).toMatch(/^<svg /)
      expect(
        readFileSync(join(out, `${name}.png`))
          .subarray(1, 4)
          .toString(),
      ).toBe('PNG')
    }

    expect((await run('runs', 'show', 'latest')).stdout).toBe(looked.stdout)
    expect(processesOf(dataDir)).toEqual([])
  })

  it('shows a shared matrix once a head where that is asked for, and compares runs of a model and its pooled self', async () => {
    const args = ['heads', 'weights', model, '--projections', 'K', '--rows', '6']
    const pooled = await run(...args, '--kv-heads', '1', '--per-head', '--json', at('pooled.json'))
    expect(pooled.stdout).toMatch(/^ +3 +0 {2}0-2 +0 /m)
    const whole = await run(...args, '--json')
    expect(whole).toMatchObject({ code: 0 })
    const { id } = JSON.parse(whole.stdout)
    const compared = await run('compare', id, read('pooled.json').id)
    expect(compared).toMatchObject({ code: 0 })
    expectPlain(compared)
    expect(compared.stdout).toMatch(/^layer 0 W_K +4 +0 {2}\d\.\d+ to \d/m)
  })
})

describe('kvscope heads attention', () => {
  it('records, compares and paints where heads look, over prompts of a file, with what is generated', async () => {
    const prompts = ['fox', 'the quick brown fox', 'a b a b a b', 'lazy dogs sleep', '"no", he said']
    writeFileSync(at('prompts.json'), JSON.stringify(prompts))
    const args = ['heads', 'attention', model, '--prompts', at('prompts.json'), '--generate', '2', '--no-baselines']
    const looked = await run(...args, '--json', at('maps.json'))
    expect(looked).toMatchObject({ code: 0 })
    expectPlain(looked)
    expect(looked.stdout).toContain('ATTENTION OF LAYER 1, tiny\n“fox” + 2 generated')
    expect(looked.stdout).toMatch(/all pairs of heads +0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]/)
    expect(looked.stdout).not.toContain('shuffled')

    const stored = read('maps.json')
    expect(stored).toMatchObject({ kind: 'ATTENTION_MAPS', status: 'SUCCEEDED', layers: [1], heads: [0, 1, 2, 3] })
    expect(stored.recorded).toHaveLength(5)
    const [map] = stored.recorded[1].maps
    expect(map).toMatchObject({ size: '[the quick brown fox]'.length, storedAs: 'F32' })
    for (const [query, row] of map.values.entries()) {
      expect(row.reduce((sum: number, p: number) => sum + p, 0)).toBeCloseTo(1, 5)
      expect(row.slice(query + 1).every((p: number) => p === 0)).toBe(true)
    }

    const pooled = await run(...args, '--kv-heads', '1', '--json')
    const compared = await run('compare', stored.id, JSON.parse(pooled.stdout).id)
    expectPlain(compared)
    expect(compared.stdout).toMatch(/^ +1 {2}-?\d\.\d{3} \[-?\d\.\d{3}, -?\d\.\d{3}\] /m)
  })

  it('takes tokens in place of texts, and writes every head and layer', async () => {
    const args = ['heads', 'attention', model, '--token-ids', '1,2,3,1,2', '--layers', '0,1', '--no-diversity']
    const looked = await run(...args, '--heads', '0,3', '--out', at('maps'))
    expect(looked).toMatchObject({ code: 0 })
    expect(readdirSync(at('maps'))).toHaveLength(2 * (2 + 2 * 3))
    const { shape, values } = readNpy(readFileSync(join(at('maps'), 'attention-P0-L1-H3.npy')))
    expect(shape).toEqual([5, 5])
    expect(values[0]).toBe(1)
    expect(looked.stdout).not.toContain('distance')
  })
})

describe('what cannot be looked at', () => {
  it('is refused with code and hint, or as wrong usage, and leaves the run FAILED or none', async () => {
    expect(await run('heads', 'weights', model, '--projections', 'K,X')).toMatchObject({ code: 2, stdout: '' })
    expect(await run('heads', 'attention')).toMatchObject({ code: 2, stdout: '' })
    const layer = await run('heads', 'weights', model, '--layers', '0,2')
    expect(layer).toMatchObject({ code: 1, stdout: '' })
    expect(layer.stderr).toMatch(/error VALIDATION_FAILED: layer 2 of tiny: it has 2, numbered from 0\n/)
    const long = await run('heads', 'attention', model, '--prompt', 'x'.repeat(200))
    expect(long).toMatchObject({ code: 1, stdout: '' })
    expect(long.stderr).toContain('error CONTEXT_EXCEEDED: ')
    const [latest] = JSON.parse((await run('runs', '--limit', '1', '--json')).stdout)
    expect(latest).toMatchObject({ kind: 'ATTENTION_MAPS', status: 'FAILED' })
    const nowhere = await run('heads', 'weights', model, '--out', join(model, 'config.json', 'x'))
    expect(nowhere.stderr).toContain('error VALIDATION_FAILED: ')
    expect(existsSync(join(model, 'config.json', 'x'))).toBe(false)
  })
})
