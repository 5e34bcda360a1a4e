import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { resetDataFolder } from '../../src/embedded/data-folder.ts'

const root = resolve(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'kvscope start-'))
// Where only root may enter, the database would lie elsewhere.
chmodSync(folder, 0o755)
afterAll(async () => {
  await resetDataFolder(join(folder, '.kvscope'))
  await rm(folder, { recursive: true, force: true })
})

/** The starter as npm runs it, but from a folder of the test's own; no terminal. */
function start(...args: string[]) {
  const child = spawn(process.execPath, [join(root, 'tools/start.mjs'), ...args], {
    cwd: folder,
    env: { ...process.env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk) => {
    out += chunk
  })
  child.stderr.on('data', (chunk) => {
    err += chunk
  })
  const ended = once(child, 'close').then(([code]) => ({ code, out, err }))
  return { child, ended, said: () => out + err }
}

describe('the starter', () => {
  it('runs a command from any folder, and leaves its stdout alone', async () => {
    const { code, out, err } = await start('kvscope', 'kv', 'gpt2', '--json').ended
    expect(code).toBe(0)
    expect(() => JSON.parse(out)).not.toThrow()
    expect(err).not.toMatch(/Installing|Generating/)
  })

  it('passes on the exit code', async () => {
    expect((await start('kvscope', 'no-such-command').ended).code).toBe(2)
  })

  it.each([['nonsense'], ['bench/../../etc/passwd.ts'], ['bench/no-such-measure.ts']])(
    'refuses %s with its usage',
    async (command) => {
      const { code, err } = await start(command).ended
      expect(code).toBe(2)
      expect(err).toContain(`There is no command ${command}.`)
      expect(err).toContain('Usage:')
    },
  )

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 0],
  ] as const)(
    'passes on %s that it alone is sent, and waits until everything has stopped',
    async (signal, expected) => {
      const { child, ended, said } = start('kvscope', 'serve')
      await expect.poll(said, { timeout: 60_000, interval: 50 }).toContain('kvscope serves')
      child.kill(signal)
      expect((await ended).code).toBe(expected)
      // The data stays in the folder it was started from, and nobody uses it any more.
      expect(existsSync(join(folder, '.kvscope/postgres'))).toBe(true)
      expect(existsSync(join(folder, '.kvscope/postgres/postmaster.pid'))).toBe(false)
      expect(readdirSync(join(folder, '.kvscope')).filter((name) => name.endsWith('.claim'))).toEqual([])
    },
    90_000,
  )
})
