import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createProgram } from '../../src/cli/program.ts'
import { createTerminal } from '../../src/cli/terminal.ts'
import { readConfig } from '../../src/config.ts'
import { compiledFile } from '../../src/package-folder.ts'
import type { CommandResult } from '../support/command-line.ts'
import { startTestHub, type TestHub } from '../support/hub-server.ts'
import { until } from '../support/processes.ts'
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts'

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 })

const folder = mkdtempSync(join(tmpdir(), 'kvscope-examples-'))
const dataDir = join(folder, 'data')
/** For commands that must own a data folder, which the service of the others does. */
const ownDataDir = join(folder, 'own')

interface Examples {
  /** `runs baseline set` */
  name: string
  lines: string[]
}

/** Every command that does something, with the examples of its `--help`, in the order of the program. */
function readExamples(): Examples[] {
  const silent = { write: () => undefined }
  const terminal = createTerminal(
    { stdout: silent, stderr: silent, stdin: {} },
    { colour: false, colorterm: null },
    () => 0,
  )
  const context = { config: readConfig({}), terminal, signal: new AbortController().signal, endWith: () => undefined }
  const found: Examples[] = []
  const visit = (command: Command, path: string[]): void => {
    for (const each of command.commands) visit(each, [...path, each.name()])
    if (command.commands.length > 0) return
    let help = ''
    command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp()
    found.push({
      name: path.join(' '),
      lines: [...help.matchAll(/^ {2}\$ (kvscope .+)$/gm)].map(([, line = '']) => line),
    })
  }
  visit(createProgram(context), [])
  return found
}

const all = readExamples()

/** Commands that run until they are told to stop, and what they say when they have begun. */
const services: Readonly<Record<string, string>> = { serve: ' serves ', worker: 'waits for runs' }
/** Commands that take a data folder for themselves. */
const owners = ['demo', 'serve', 'worker', 'migrate', 'reset', 'lecture']

function start(line: string, data: string): { child: ChildProcess; said: () => string; ended: Promise<CommandResult> } {
  const child = spawn('sh', ['-c', `exec ${line}`], {
    cwd: folder,
    env: {
      ...process.env,
      PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
      KVSCOPE_DATA_DIR: data,
      KVSCOPE_LOG_LEVEL: 'warn',
      PORT: '0',
      // Neither the user's cache nor a hub that is not ours.
      HF_ENDPOINT: hub.url,
      HF_HOME: folder,
      HF_HUB_CACHE: join(folder, 'hub'),
      HF_TOKEN: '',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const ended = once(child, 'close').then(([code]) => ({ code, stdout, stderr }))
  return { child, said: () => stdout + stderr, ended }
}

const run = (line: string, data = dataDir): Promise<CommandResult> => start(line, data).ended

async function expectToServe(line: string, words: string): Promise<void> {
  const service = start(line, ownDataDir)
  await until(`"${words}" of ${line}`, () => {
    if (service.child.exitCode !== null) throw new Error(service.said())
    return service.said().includes(words)
  })
  service.child.kill('SIGTERM')
  const { code, stderr } = await service.ended
  expect(code, `${line}\n${stderr}`).toBe(0)
}

let service: ReturnType<typeof start>
let hub: TestHub
let address = ''

beforeAll(async () => {
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  writeFileSync(
    join(bin, 'kvscope'),
    `#!/bin/sh\nexec "${process.execPath}" "${compiledFile('src/cli/main.ts')}" "$@"\n`,
  )
  chmodSync(join(bin, 'kvscope'), 0o755)
  for (const name of ['gpt2', 'llama', 'gpt2-medium', 'falcon-rw-1b'])
    await writeTinyCheckpoint(join(folder, 'models', name), 256)
  hub = await startTestHub()
  hub.pushFolder('openai-community/gpt2', join(folder, 'models/gpt2'))
  writeFileSync(join(folder, 'prompts.txt'), 'the quick brown fox\nlazy dogs sleep\n')
  service = start('kvscope serve --json', dataDir)
  await until('the service', () => {
    if (service.child.exitCode !== null) throw new Error(service.said())
    return / serves (http:\S+)\/graphql/.test(service.said())
  })
  address = / serves (http:\S+)\/graphql/.exec(service.said())?.[1] ?? ''
  // What examples over stored runs find: two runs of one benchmark, and a name for the first.
  for (const _ of [1, 2]) await run('kvscope bench models/gpt2 -p 0 -n 8 -r 5 --quiet')
})

afterAll(async () => {
  service.child.kill('SIGTERM')
  await service.ended
  await run('kvscope reset --yes')
  await run('kvscope reset --yes', ownDataDir)
  await hub.close()
  rmSync(folder, { recursive: true, force: true })
})

/** What must stand before the examples of a command make sense, by the program's own commands. */
const before: Readonly<Record<string, string[]>> = {
  compare: [
    'kvscope bench models/gpt2 -p 0 -n 8 -r 5 --quiet',
    'kvscope runs baseline set main latest',
    'kvscope bench models/gpt2 -p 0 -n 8 -r 5 --quiet',
  ],
}

describe('the examples of --help', () => {
  it('are there for every command', () => {
    expect(all.length).toBeGreaterThan(20)
    for (const { name, lines } of all) expect(lines, name).not.toEqual([])
  })

  it.each(all.filter(({ name }) => name !== 'reset'))('of $name work', async ({ name, lines }) => {
    for (const line of before[name] ?? []) expect(await run(line), line).toMatchObject({ code: 0 })
    const words = services[name]
    for (const example of lines) {
      const line = example.replace('http://127.0.0.1:4000', address)
      if (words !== undefined) await expectToServe(line, words)
      else {
        const { code, stderr } = await run(line, owners.includes(name) ? ownDataDir : dataDir)
        // What conditions on times come to is the machine's to say.
        expect(line.includes('--fail-if') ? [0, 1, 2] : [0], `${line}\n${stderr}`).toContain(code)
      }
    }
  })

  it('of reset work, after the others', async () => {
    for (const line of all.find(({ name }) => name === 'reset')?.lines ?? [])
      expect(await run(line, ownDataDir), line).toMatchObject({ code: 0 })
  })
})
