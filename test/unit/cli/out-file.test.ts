import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { writeOutFile } from '../../../src/cli/out-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'kvscope-out-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const pieces = ['one ', 'two'].map((text) => new TextEncoder().encode(text))

async function* failing() {
  yield new TextEncoder().encode('half')
  throw new Error('the server went away')
}

describe('the file of --out', () => {
  it('is written whole, in a folder that is made where need be', async () => {
    const file = join(folder, 'new', 'all.txt')
    expect(await writeOutFile(file, pieces)).toBe(7)
    expect(readFileSync(file, 'utf8')).toBe('one two')
  })

  it('stays as it was where the pieces end too early, and leaves nothing beside it', async () => {
    const file = join(folder, 'old.txt')
    writeFileSync(file, 'old')
    await expect(writeOutFile(file, failing())).rejects.toThrow('the server went away')
    await expect(writeOutFile(join(folder, 'never.txt'), failing())).rejects.toThrow('the server went away')
    expect(readFileSync(file, 'utf8')).toBe('old')
    expect(readdirSync(folder).sort()).toEqual(['new', 'old.txt'])
  })

  it('is refused by name where it cannot be written', async () => {
    const inFile = join(folder, 'old.txt', 'x')
    await expect(writeOutFile(inFile, pieces)).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
      message: expect.stringContaining(`The file of --out, ${inFile}, cannot be written: E`),
    })
    await expect(writeOutFile(folder, pieces)).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
  })

  it.runIf(existsSync('/dev/full'))('may be a device, which stays one', async () => {
    expect(await writeOutFile('/dev/null', pieces)).toBe(7)
    expect(execFileSync('stat', ['-c', '%F', '/dev/null']).toString()).toBe('character special file\n')
    await expect(writeOutFile('/dev/full', pieces)).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
  })
})
