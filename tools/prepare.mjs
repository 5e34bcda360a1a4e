// Brings node_modules, src/generated and dist up to date. Where nothing is to be done it only reads, within some 20 ms.
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  accessSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { compileSources, isCompiled } from './compile.mjs'
import { findStaleParts, makeParts } from './generate.mjs'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
/** Ignored by git, and not touched by npm. */
const claims = join(root, 'src/generated/.starters')
const stamp = join(root, 'node_modules/.kvscope-installed')

export async function prepare() {
  if (isInstalled() && isMade()) return
  await alone(async () => {
    // Whoever was here before may have done it all.
    if (!isInstalled()) await install()
    await makeStale()
  })
}

/** For whoever knows that the packages are there, and may be using them. */
export async function prepareFiles() {
  if (!isMade()) await alone(makeStale)
}

const isMade = () => findStaleParts().length === 0 && isCompiled()

async function makeStale() {
  const stale = findStaleParts()
  if (stale.length > 0) {
    console.error(`Generating: ${stale.map(({ name }) => name).join(', ')} ...`)
    await makeParts(stale)
  }
  await compileSources()
}

async function alone(work) {
  const release = await claimAlone()
  try {
    await work()
  } finally {
    release()
  }
}

/** Whether node_modules came from this very lock file on this kind of machine. */
function isInstalled() {
  const wanted = wantedStamp()
  if (read(stamp) === wanted) return true
  // Somebody may have run npm himself: npm writes its own list last.
  if (read(stamp) !== null) return false
  const listed = statSync(join(root, 'node_modules/.package-lock.json'), { throwIfNoEntry: false })
  if (!listed || listed.mtimeMs < statSync(join(root, 'package-lock.json')).mtimeMs) return false
  writeFileSync(stamp, wanted)
  return true
}

function wantedStamp() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  return `${lock} ${process.platform}-${process.arch}`
}

async function install() {
  console.error('Installing npm packages from package-lock.json (about 1 GB, once) ...')
  rmSync(stamp, { force: true })
  // Run by npm, we know its program; else it is on PATH.
  const program = process.env.npm_execpath
  const byNode = program && /\.c?js$/.test(program)
  const options = ['ci', '--no-audit', '--no-fund', '--no-update-notifier', ...cacheOption()]
  const [command, args] = byNode ? [process.execPath, [program, ...options]] : ['npm', options]
  const code = await new Promise((done, failed) => {
    // npm's words go to stderr: stdout may be a command's result.
    const child = spawn(command, args, {
      cwd: root,
      stdio: ['ignore', 2, 2],
      shell: !byNode && process.platform === 'win32',
    })
    child.once('error', (error) => failed(new Error(`npm could not be started: ${error.message}`, { cause: 'told' })))
    child.once('close', (exitCode) => done(exitCode))
  })
  if (code !== 0) {
    throw new Error(`"npm ci" failed with code ${code}: see its words above. Then try again.`, { cause: 'told' })
  }
  writeFileSync(stamp, wantedStamp())
}

/** npm keeps its cache in the home folder, which may not be there or not be ours. */
function cacheOption() {
  if (process.env.npm_config_cache && isWritable(process.env.npm_config_cache)) return []
  const home = homedir()
  return home && isWritable(home) ? [] : ['--cache', join(tmpdir(), `kvscope-npm-cache-${process.getuid?.() ?? 0}`)]
}

function isWritable(folder) {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * One starter at a time prepares. Each writes a claim of its own first and looks for others second, so of two at least
 * one sees the other; nobody ever takes over a file of somebody else's, and those of dead processes count for nothing.
 */
async function claimAlone() {
  mkdirSync(claims, { recursive: true })
  for (let tries = 0; ; tries++) {
    const mine = `${process.pid}.${randomBytes(4).toString('hex')}`
    const path = join(claims, mine)
    // Whole from the first moment: a reader must not take a file without a start for that of a dead process.
    writeFileSync(`${path}.draft`, startOf(process.pid) ?? '')
    renameSync(`${path}.draft`, path)
    const others = readdirSync(claims).filter((name) => name !== mine && !name.endsWith('.draft') && isLive(name))
    if (others.length === 0) return () => rmSync(path, { force: true })
    rmSync(path, { force: true })
    if (tries === 20) console.error(`Waiting for process ${others[0]?.split('.')[0]}, which prepares kvscope ...`)
    await sleep(50 + Math.random() * 100)
  }
}

function isLive(name) {
  const pid = Number(name.split('.')[0])
  const written = read(join(claims, name))
  if (written === null) return false
  let lives = true
  try {
    process.kill(pid, 0)
  } catch (error) {
    lives = error.code === 'EPERM'
  }
  if (lives && (written === '' || startOf(pid) === written)) return true
  rmSync(join(claims, name), { force: true })
  return false
}

/** When a process started, on Linux: its pid may be another's by now. */
function startOf(pid) {
  const stat = read(`/proc/${pid}/stat`)
  return stat === null ? null : stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}

function read(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}
