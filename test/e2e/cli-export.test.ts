import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it, vi } from 'vitest'
import { runCommand } from '../support/command-line.ts'
import { parseCsv } from '../support/parse-csv.ts'
import { readZip } from '../support/read-zip.ts'
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts'

vi.setConfig({ testTimeout: 120_000 })

const folder = mkdtempSync(join(tmpdir(), 'kvscope-export-'))
const run = (...args: string[]) => runCommand(args, join(folder, 'data'))
afterAll(async () => {
  await run('reset', '--yes')
  rmSync(folder, { recursive: true, force: true })
})

it('takes a run from measuring to a table, an archive and a page, over the data folder alone', async () => {
  const model = await writeTinyCheckpoint(join(folder, 'tiny'))
  const measured = await run('bench', model, '--kv-heads', '1', '-p', '16', '-n', '0', '-r', '5', '--json')
  expect(measured.code).toBe(0)
  const { id, series } = JSON.parse(measured.stdout)

  const records = parseCsv((await run('export', 'latest', '--format', 'csv')).stdout)
  expect(records.map(({ run: of }) => of)).toEqual(records.map(() => id))
  const samples = series.flatMap((one: { samples: number[] }) => one.samples)
  expect(records.map(({ milliseconds }) => Number(milliseconds)).sort()).toEqual(samples.toSorted())

  const archive = join(folder, 'run.npz')
  expect(await run('export', id, '--format', 'npz', '--out', archive)).toMatchObject({ code: 0 })
  const members = [...readZip(readFileSync(archive)).keys()]
  expect(members).toEqual(expect.arrayContaining(['metadata.json', 'series/tiny/prefill_pp16/samples.npy']))

  const page = join(folder, 'report.html')
  expect(await run('report', 'latest', '--out', page)).toMatchObject({ code: 0, stderr: '' })
  expect(readFileSync(page, 'utf8')).toMatch(/<svg [\s\S]*What this shows, and what not/)
})
