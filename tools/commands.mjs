// What each npm script runs, once everything it needs is there.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { prepareFiles } from './prepare.mjs'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const at = (path) => join(root, path)
const tool = (path) => at(`node_modules/${path}`)
const compiled = (source) => at(`dist/${source.replace(/\.ts$/, '.js')}`)

const checks = [
  { name: 'format and lint', args: [tool('@biomejs/biome/bin/biome'), 'check', '.'] },
  { name: 'types', args: [tool('typescript/bin/tsc'), '-p', '.', '--noEmit'] },
  {
    name: 'arrows',
    args: [tool('dependency-cruiser/bin/dependency-cruise.mjs'), 'src', '--config', '.dependency-cruiser.mjs'],
  },
  { name: 'unused code and dependencies', args: [tool('knip/bin/knip.js')] },
]

const usage = `Usage: node tools/start.mjs COMMAND [ARGUMENT...]
  demo       from an empty machine to a stored, queried benchmark run
  kvscope    the command line program
  test       the tests
  check      format, lint, types, arrows, unused code
  fidelity   docs/fidelity.md, from the run of the golden files
  generate   the Prisma client, the GraphQL types and the compiled JavaScript
  bench/*.ts a measure`

/** @returns the exit code */
export async function runCommand([command, ...args]) {
  if (command === 'demo') return run([compiled('src/cli/main.ts'), 'demo', ...args])
  if (command === 'kvscope') return run([compiled('src/cli/main.ts'), ...args])
  if (command === 'test')
    return run([tool('vitest/vitest.mjs'), 'run', ...args], { cwd: root, secondSignalKills: true })
  if (command === 'check') return checkAll()
  if (command === 'fidelity') {
    const args = [tool('vitest/vitest.mjs'), 'run', 'test/golden/families.test.ts']
    return run(args, { cwd: root, env: { ...process.env, FIDELITY: 'write' } })
  }
  if (command === 'generate') {
    const code = await run([at('tools/generate.mjs'), '--all'])
    if (code === 0) await prepareFiles()
    return code
  }
  if (command && /^bench\/[a-z0-9-]+\.ts$/.test(command) && existsSync(at(command))) {
    return run([compiled(command), ...args])
  }
  console.error(command ? `There is no command ${command}.\n${usage}` : usage)
  return 2
}

/** All checks run, whatever the first of them finds. */
async function checkAll() {
  const results = []
  for (const { name, args } of checks) {
    console.log(`\n> ${name}`)
    results.push({ name, code: await run(args, { cwd: root }) })
  }
  console.log('')
  for (const { name, code } of results) console.log(`${code === 0 ? 'passed' : 'FAILED'}  ${name}`)
  return results.some(({ code }) => code !== 0) ? 1 : 0
}

/**
 * Runs Node and waits for it, whatever signals come: the child decides how it ends, and its exit code is ours.
 * Ctrl-C on a terminal reaches the child by itself; a signal sent to this process alone is passed on.
 */
function run(args, { cwd, env = process.env, secondSignalKills = false } = {}) {
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, args, { cwd, env, stdio: 'inherit' })
    const onTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY
    const pass = (signal) => {
      if (signal === 'SIGINT' && onTerminal && secondSignalKills) return
      child.kill(signal)
    }
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
    for (const signal of signals) process.on(signal, pass)
    child.once('error', failed)
    child.once('close', (code, signal) => {
      for (const name of signals) process.off(name, pass)
      done(code ?? 128 + (constants.signals[signal] ?? 0))
    })
  })
}
