import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { jsonFile, reportFigures } from '../../../bench/report.ts'
import { compiledFile } from '../../../src/package-folder.ts'

let folder: string
let printed: string[]
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvscope-report-'))
  printed = []
  vi.spyOn(console, 'log').mockImplementation((text: string) => void printed.push(text))
})
afterEach(async () => {
  vi.restoreAllMocks()
  await rm(folder, { recursive: true })
})

const targets = { within: { least: 0.85, most: 1.03 }, below: { least: 1.4, most: null }, exact: { least: 1, most: 1 } }
const figures = [
  { name: 'within', value: 0.912345, unit: '' },
  { name: 'below', value: 1.2, unit: '' },
  { name: 'exact', value: 1, unit: '' },
  { name: 'free', value: 42, unit: 'ms' },
]

describe('reportFigures', () => {
  it('says of each figure with a target whether it is met', async () => {
    await reportFigures(figures, targets, null)
    const line = (name: string) =>
      printed
        .join('\n')
        .split('\n')
        .find((text) => text.startsWith(name))
    expect(line('within')).toMatch(/0\.9123 +0\.85 to 1\.03 +met$/)
    expect(line('below')).toMatch(/1\.2 +>= 1\.4 +MISSED$/)
    expect(line('exact')).toMatch(/= 1 +met$/)
    expect(line('free')).toMatch(/42 ms$/)
  })
  it('writes name, value and unit where a file is named, making its folder', async () => {
    const file = join(folder, 'deep', 'figures.json')
    await reportFigures(figures, targets, file)
    const [first, ...rest] = JSON.parse(await readFile(file, 'utf8'))
    expect(first).toEqual({ name: 'within', value: 0.9123, unit: '' })
    expect(rest.at(-1)).toEqual({ name: 'free', value: 42, unit: 'ms' })
  })
})

describe('jsonFile', () => {
  it('is what --json names, or nothing', () => {
    expect(jsonFile(['--json', 'a.json'])).toBe('a.json')
    expect(jsonFile([])).toBeNull()
  })
  it('refuses an option it does not know', () => expect(() => jsonFile(['--jsno', 'a'])).toThrow(/--jsno/))
  it('is asked for before the service is timed', () => {
    const bench = compiledFile('bench/api.ts')
    const { status, stderr, stdout } = spawnSync(process.execPath, [bench, '--jsno', 'a'], {
      encoding: 'utf8',
    })
    expect(status).toBe(1)
    expect(stderr).toContain("Unknown option '--jsno'")
    expect(stdout).toBe('')
  })
})
