import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { runCommand } from '../../support/command-line.ts'
import { readZip } from '../../support/read-zip.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { startTestApi } from '../api/api-under-test.ts'
import { prompts, storeAttentionRun } from '../api/stored-attention.ts'
import { storeFailedRun, storeFinishedRun } from '../api/stored-runs.ts'
import { storeSlicedRun } from '../api/stored-slices.ts'
import { storeDepthSweep } from '../api/stored-sweeps.ts'

vi.setConfig({ testTimeout: 60_000 })

const url = await createTestDatabase()
const db = connectDatabase(url)
const api = await startTestApi(url)
const folder = mkdtempSync(join(tmpdir(), 'kvscope-report-'))
afterAll(async () => {
  await db.close()
  rmSync(folder, { recursive: true, force: true })
})

const cli = (...args: string[]) => runCommand([...args, '--server', api.address], join(folder, 'data'))
const evil = '<script>alert(1)</script><img src=x onerror=alert(2)>'

async function report(runs: readonly string[], ...options: string[]): Promise<string> {
  const file = join(folder, 'report.html')
  const result = await cli('report', ...runs, '--out', file, ...options)
  expect(result).toMatchObject({ code: 0, stderr: '' })
  return readFileSync(file, 'utf8')
}

const count = (text: string, part: string) => text.split(part).length - 1

describe('kvscope report', async () => {
  const benchmark = await storeFinishedRun(db)
  const slices = await storeSlicedRun(db, { kvHeads: 4, projections: ['K', 'V'], rows: 8, columns: 8 })
  const spelled = { text: evil, tokens: [...evil] }
  const maps = await storeAttentionRun(db, { prompts: [prompts.short, spelled], layers: [0, 11], heads: [0, 1, 2, 3] })

  it('shows a sweep with its lines and what they cost', async () => {
    const lines = [12, 1].map((kvHeads) => ({ kvHeads, fixed: 20, slope: 0.001 * kvHeads }))
    const page = await report([await storeDepthSweep(db, lines, [0, 128, 512, 896])])
    for (const part of [
      'Time of one token by depth',
      'Time = fixed cost + slope x cached tokens',
      '12.0 µs',
      '20.0 ms',
    ]) {
      expect(page, part).toContain(part)
    }
  })

  it('puts runs of every kind into one page, with pictures, tables and where they come from', async () => {
    const page = await report([benchmark, slices, maps.id])
    expect(page).toContain('3 runs of kvscope')
    // Trials; two grids and two CKA matrices; two prompts in two layers and two distance matrices.
    expect(count(page, '<svg ')).toBe(1 + 4 + 6)
    expect(count(page, '<p class="notice">SYNTHETIC WEIGHTS')).toBe(3)
    for (const part of [
      '0.477 [0.455, 0.600]',
      'Where this comes from',
      'Test CPU',
      '>f0<',
      'run it alone',
      'decode at depth 128',
    ]) {
      expect(page, part).toContain(part)
    }
    expect(page).toContain('One matrix is shared by heads 0-2; 3-5; 6-8; 9-11: they read the same K/V head.')
  })

  it('shows a prompt of markup as text', async () => {
    const page = await report([maps.id])
    expect(page).not.toMatch(/<script|<img/)
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;')
  })

  it('draws as many pictures as it is asked for, and says that there are more', async () => {
    const page = await report([maps.id], '--pictures', '1')
    expect(count(page, '<svg ')).toBe(2)
    expect(page).toContain('The first 1 of 4 pictures are here; --pictures takes more.')
  })

  it('says that a run is not finished, and why', async () => {
    const page = await report([await storeFailedRun(db)])
    expect(page).toContain('NOT FINISHED: the run is FAILED')
    expect(page).toContain('OUT_OF_MEMORY: too little memory')
    expect(page).toContain('Nothing has been timed.')
  })

  it('writes nothing where a run is not there', async () => {
    const file = join(folder, 'never.html')
    const result = await cli('report', benchmark, '0193a1b2-0000-7000-8000-000000000000', '--out', file)
    expect(result.code).toBe(1)
    expect(result.stderr).toContain('error NOT_FOUND: No run has the id 0193a1b2-0000-7000-8000-000000000000')
    expect(existsSync(file)).toBe(false)
  })

  it('tells with --json what it wrote', async () => {
    const file = join(folder, 'told.html')
    const { stdout } = await cli('report', slices, '--out', file, '--json')
    expect(JSON.parse(stdout)).toEqual({ file, bytes: readFileSync(file).length, runs: [slices] })
  })
})

describe('kvscope export', async () => {
  const id = await storeFinishedRun(db)

  it.each(['json', 'csv', 'npz', 'safetensors'])(
    'writes %s as the API gives it, to a file or to stdout',
    async (format) => {
      const file = join(folder, `run.${format}`)
      const written = await cli('export', id, '--format', format, '--out', file)
      expect(written).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining(`${file}: `) })
      const answer = await fetch(`${api.address}/runs/${id}/export.${format}`)
      const bytes = Buffer.from(await answer.arrayBuffer())
      expect(readFileSync(file).equals(bytes)).toBe(true)
      if (format === 'npz') expect([...readZip(bytes).keys()]).toContain('series/kv4/decode_tg8@d128/samples.npy')
      if (format === 'csv') expect((await cli('export', id, '--format', format)).stdout).toBe(bytes.toString())
    },
  )

  it('refuses a second thing on stdout, an unknown format, and a run that is not there', async () => {
    const both = await cli('export', id, '--json')
    expect(both).toMatchObject({ code: 1, stdout: '' })
    expect(both.stderr).toContain('--json tells of the file of --out, and --out was not given')
    expect(await cli('export', id, '--format', 'xlsx')).toMatchObject({ code: 2, stdout: '' })
    const gone = await cli('export', '../../graphql', '--out', join(folder, 'gone.json'))
    expect(gone.stderr).toContain('error NOT_FOUND: no run has the id ../../graphql')
    expect(existsSync(join(folder, 'gone.json'))).toBe(false)
  })
})
