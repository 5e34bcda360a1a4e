import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { logBytes, openLogFile } from '../../../src/cli/log-file.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kvscope-log-file-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function append(file: string, text: string): Promise<void> {
  const log = await openLogFile(file)
  await log.write(text)
  await log.close()
}

describe('the log of API and worker', () => {
  it('goes on where earlier starts ended', async () => {
    const file = join(folder, 'logs', 'demo.log')
    await append(file, 'first\n')
    await append(file, 'second\n')
    expect(readFileSync(file, 'utf8')).toBe('first\nsecond\n')
  })

  it('is cut to its last whole lines once it has grown too long', async () => {
    const file = join(folder, 'demo.log')
    const line = (index: number) => `${String(index).padStart(98, '0')}é\n`
    const count = logBytes.most / 100
    writeFileSync(file, Array.from({ length: count }, (_, index) => line(index)).join(''))
    await append(file, 'now\n')
    const lines = readFileSync(file, 'utf8').split('\n')
    expect(lines.slice(-3)).toEqual([line(count - 1).trim(), 'now', ''])
    expect(lines[0]).toBe(line(count - lines.length + 2).trim())
    expect(readFileSync(file).length).toBeGreaterThan(0.9 * logBytes.kept)
    expect(readFileSync(file).length).toBeLessThanOrEqual(logBytes.kept + 4)
  })
})
