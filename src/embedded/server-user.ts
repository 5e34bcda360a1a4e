import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { AppError } from '../errors.ts'

/** Whom the database server runs as. */
export interface ServerUser {
  uid: number
  gid: number
}

/**
 * PostgreSQL refuses to run as root, so root drops to the user that the database already belongs to, else to `postgres`
 * or `nobody`.
 * @param existing folder of a database that may already be there
 * @returns null where this process is not root: the server then runs as whoever runs kvscope
 */
export function findServerUser(existing: string): ServerUser | null {
  if (process.getuid?.() !== 0) return null
  const owner = statSync(existing, { throwIfNoEntry: false })
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  for (const name of ['postgres', 'nobody']) {
    const uid = numericId('-u', name)
    const gid = numericId('-g', name)
    if (uid !== null && gid !== null && uid !== 0) return { uid, gid }
  }
  throw new AppError(
    'CONFIG_UNSUPPORTED',
    'PostgreSQL does not run as root, and this machine has neither a user "postgres" nor "nobody".',
    'Run kvscope as an ordinary user, or set DATABASE_URL to a PostgreSQL that already runs.',
  )
}

/** Whether the server's user can enter a folder; asked of the system itself, as modes alone do not tell. */
export function canEnter(user: ServerUser | null, folder: string): boolean {
  if (user === null) return true
  return spawnSync('/bin/sh', ['-c', 'cd -- "$1"', 'sh', folder], { ...user, stdio: 'ignore', cwd: '/' }).status === 0
}

function numericId(flag: '-u' | '-g', name: string): number | null {
  const { status, stdout } = spawnSync('id', [flag, name], { encoding: 'utf8' })
  return status === 0 ? Number(stdout) : null
}
