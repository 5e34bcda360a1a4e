import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, describe, expect, it } from 'vitest'
import { killNow } from '../support/processes.ts'

const root = resolve(import.meta.dirname, '../..')
const scratch = mkdtempSync(join(tmpdir(), 'kvscope checkout-'))
const started: ChildProcess[] = []
afterAll(async () => {
  await Promise.all(started.map(killNow))
  rmSync(scratch, { recursive: true, force: true })
})

/** The sources of this checkout in a folder of their own, never compiled, with its packages. */
function copyOf(...paths: string[]): string {
  const folder = mkdtempSync(join(scratch, 'copy-'))
  for (const path of ['package.json', ...paths]) {
    // Who prepares this checkout prepares no copy.
    cpSync(join(root, path), join(folder, path), { recursive: true, filter: (from) => !from.endsWith('.starters') })
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  return folder
}

async function run(folder: string, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  // A test run inside this one is no worker of it.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST')))
  const child = spawn(process.execPath, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  started.push(child)
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code, out, err }
}

function edit(file: string, from: string, to: string): void {
  const before = readFileSync(file, 'utf8')
  expect(before).toContain(from)
  writeFileSync(file, before.replace(from, to))
}

const kv = ['bin/kvscope.mjs', 'kv', 'gpt2', '--json']

// Each of these starts several programs, one of them npm or vitest.
describe('a checkout', { timeout: 120_000 }, () => {
  const folder = copyOf('bin', 'prisma', 'src', 'test/support', 'tools', 'tsconfig.json', 'vitest.config.ts')

  it('compiles for three who start at once, and each gets its answer', async () => {
    for (const { code, out, err } of await Promise.all([kv, kv, kv].map((args) => run(folder, ...args)))) {
      expect(code, err).toBe(0)
      expect(() => JSON.parse(out)).not.toThrow()
    }
    expect(readdirSync(join(folder, 'src/generated/.starters'))).toEqual([])
    expect(existsSync(join(folder, 'dist/src/cli/main.js'))).toBe(true)
  })

  it('runs what its sources say now, or names the line that cannot be compiled', async () => {
    const main = join(folder, 'src/cli/main.ts')
    edit(join(folder, 'src/cli/program.ts'), 'Start with "kvscope demo".', 'Start with whatever you like.')
    expect((await run(folder, 'bin/kvscope.mjs', '--help')).out).toContain('Start with whatever you like.')
    const whole = readFileSync(main, 'utf8')
    writeFileSync(main, `import { from\n${whole}`)
    const broken = await run(folder, 'bin/kvscope.mjs', '--help')
    writeFileSync(main, whole)
    expect(broken).toMatchObject({ code: 1, out: '' })
    expect(broken.err).toMatch(/^Cannot compile:\nsrc\/cli\/main\.ts:2:\d+: /)
    expect(broken.err).not.toContain('    at ')
  })

  it('gives tests no process but that of their sources, though only vitest was started', async () => {
    writeFileSync(join(folder, 'src/say.ts'), `console.log('first' as string)`)
    const test = join(folder, 'test/unit/say.test.ts')
    mkdirSync(dirname(test), { recursive: true })
    writeFileSync(
      test,
      `import { execFileSync } from 'node:child_process'
      import { expect, it } from 'vitest'
      import { compiledFile } from '../../src/package-folder.ts'
      it('says', () => expect(execFileSync(process.execPath, [compiledFile('src/say.ts')]).toString()).toBe('second\\n'))`,
    )
    expect((await run(folder, 'bin/kvscope.mjs', '--help')).code).toBe(0)
    expect((await run(folder, 'dist/src/say.js')).out).toBe('first\n')
    edit(join(folder, 'src/say.ts'), 'first', 'second')
    const vitest = join(root, 'node_modules/vitest/vitest.mjs')
    const { code, out, err } = await run(folder, vitest, 'run', 'test/unit/say.test.ts')
    expect(code, out + err).toBe(0)
  })
})

describe('the package', { timeout: 120_000 }, () => {
  it('holds all that a command needs, and no tool that would compile it', async () => {
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
    const packed: unknown = JSON.parse(
      execFileSync(npm, ['pack', '--dry-run', '--json'], {
        cwd: root,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }),
    )
    const files = [packed].flat().flatMap((one) => (one as { files: { path: string }[] }).files.map(({ path }) => path))
    const folder = copyOf(...files)
    expect(readdirSync(folder).sort()).toEqual(
      ['README.md', 'bin', 'dist', 'node_modules', 'package.json', 'prisma', 'src'].sort(),
    )
    for (const path of ['dist/bench', 'dist/test']) expect(files.filter((file) => file.startsWith(path))).toEqual([])
    expect((await run(folder, ...kv)).code).toBe(0)
    const serving = await run(
      folder,
      '--input-type=module',
      '-e',
      `
      await import('./dist/src/api/schema.js')
      const { readExamples } = await import('./dist/src/api/examples.js')
      console.log((await readExamples()).length > 10)`,
    )
    expect(serving).toEqual({ code: 0, out: 'true\n', err: '' })
  })
})
