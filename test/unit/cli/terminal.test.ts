import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InvalidArgumentError } from 'commander'
import { describe, expect, it } from 'vitest'
import { byteCount, wholeNumber, wholeNumbers } from '../../../src/cli/command.ts'
import { createTerminal, deliver } from '../../../src/cli/terminal.ts'

function fake(isTTY: boolean, colour = true) {
  const said = { stdout: '', stderr: '' }
  const stream = (name: 'stdout' | 'stderr') => ({
    isTTY,
    columns: 60,
    write: (text: string) => {
      said[name] += text
    },
  })
  const streams = { stdout: stream('stdout'), stderr: stream('stderr'), stdin: { isTTY } }
  return { said, terminal: createTerminal(streams, { colour, colorterm: null }, () => 0) }
}

describe('the terminal', () => {
  it('gives a pipe no escape sequence, and one line a step instead of a bar', () => {
    const { said, terminal } = fake(false)
    terminal.progress(0.1, 'decode tg8 @ d9: block 1 of 10')
    terminal.progress(0.2, 'decode tg8 @ d9: block 2 of 10')
    terminal.progress(0.5, 'decode tg8 @ d512: block 1 of 10')
    terminal.print(terminal.style.bold('done'))
    expect(said.stderr).toBe(' 10 %  decode tg8 @ d9: block 1 of 10\n 50 %  decode tg8 @ d512: block 1 of 10\n')
    expect(said.stdout).toBe('done\n')
  })

  it('redraws one bar on a terminal, and takes it away before it prints', () => {
    const { said, terminal } = fake(true)
    terminal.progress(0.5, 'half')
    terminal.note('a word')
    expect(said.stderr).not.toContain('\n█')
    expect(said.stderr.endsWith('half\r\u001b[2Ka word\n')).toBe(true)
  })

  it('obeys NO_COLOR on a terminal too', () => {
    const { terminal } = fake(true, false)
    expect(terminal.style.bad('x')).toBe('x')
    expect(fake(true).terminal.style.bad('x')).not.toBe('x')
  })

  it('gives a result as text, as JSON alone, or as both', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kvscope-terminal-'))
    const file = join(folder, 'out.json')
    const [text, json, both] = [fake(false), fake(false), fake(false)]
    await deliver(text.terminal, undefined, { a: 1 }, 'text')
    await deliver(json.terminal, true, { a: 1 }, 'text')
    await deliver(both.terminal, file, { a: 1 }, 'text')
    expect([text.said.stdout, JSON.parse(json.said.stdout), both.said.stdout]).toEqual(['text\n', { a: 1 }, 'text\n'])
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ a: 1 })
    rmSync(folder, { recursive: true })
  })
})

describe('arguments', () => {
  it('reads sizes in powers of 1000 and of 1024', () => {
    expect(byteCount('24GB')).toBe(24e9)
    expect(byteCount('80 GiB')).toBe(80 * 2 ** 30)
    expect(byteCount('1.5MB')).toBe(1.5e6)
    expect(byteCount('4096')).toBe(4096)
    for (const wrong of ['', 'GB', '-1GB', '1XB', '1 2'])
      expect(() => byteCount(wrong), wrong).toThrow(InvalidArgumentError)
  })

  it('takes whole numbers in range only, alone and in lists', () => {
    expect(wholeNumbers(0)('0, 512,1024')).toEqual([0, 512, 1024])
    for (const wrong of ['', '1.5', '-1', '0x10', '1e3', '11']) {
      expect(() => wholeNumber(1, 10)(wrong), wrong).toThrow(InvalidArgumentError)
    }
  })
})
