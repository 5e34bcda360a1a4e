import { createHash, randomBytes } from 'node:crypto'
import { access, chmod, constants, mkdir, readFile, realpath, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../errors.ts'
import { canEnter, findServerUser, type ServerUser } from './server-user.ts'

/** Where the parts of the embedded PostgreSQL lie. */
export interface DatabaseHome {
  /** The data folder: claims, log and password. */
  dataDir: string
  /** What the server itself must reach: the data folder, or a place elsewhere when only root may enter that. */
  home: string
  /** PGDATA */
  cluster: string
  user: ServerUser | null
}

const record = 'postgres-elsewhere'
/** Not /tmp, nor first /var/tmp: many systems sweep files there that nobody has touched for a month. */
const elsewhere = ['/var/lib/kvscope', '/var/tmp', '/tmp']

/** The place recorded in the data folder because its database had to be kept elsewhere; null where it lies inside. */
export async function recordedElsewhere(dataDir: string): Promise<string | null> {
  const text = await readFile(join(dataDir, record), 'utf8').catch(() => null)
  return text?.trim() || null
}

/** Finds, or on the first start chooses, where the database lies. Call it with the start claim held. */
export async function findDatabaseHome(dataDir: string): Promise<DatabaseHome> {
  await mkdir(dataDir, { recursive: true })
  const home = (await recordedElsewhere(dataDir)) ?? dataDir
  const user = findServerUser(join(home, 'postgres'))
  if (canEnter(user, home)) return { dataDir, home, cluster: join(home, 'postgres'), user }
  if (home !== dataDir) {
    // Swept away by somebody, or never made because a start was killed: there is no database to go back to.
    return makeElsewhere(dataDir, user)
  }
  if (await exists(join(dataDir, 'postgres'))) {
    throw new AppError(
      'CONFLICT',
      `The database in ${dataDir} belongs to a user who may no longer enter that folder.`,
      'Give that user the right to enter it, run kvscope as before, or remove the database with "kvscope reset".',
    )
  }
  return makeElsewhere(dataDir, user)
}

async function makeElsewhere(dataDir: string, user: ServerUser | null): Promise<DatabaseHome> {
  const path = createHash('sha256')
    .update(await realpath(dataDir))
    .digest('hex')
    .slice(0, 12)
  // The random part: the same path may be another folder tomorrow, and must not meet yesterday's database.
  const name = `kvscope-${path}-${randomBytes(4).toString('hex')}`
  for (const parent of elsewhere) {
    const home = join(parent, name)
    try {
      await mkdir(parent, { recursive: true, mode: 0o755 })
      await mkdir(home, { mode: 0o755 })
      await chmod(home, 0o755)
    } catch {
      continue
    }
    if (!canEnter(user, home)) continue
    await writeFile(join(dataDir, `${record}.draft`), `${home}\n`)
    await rename(join(dataDir, `${record}.draft`), join(dataDir, record))
    return { dataDir, home, cluster: join(home, 'postgres'), user }
  }
  throw new AppError(
    'CONFIG_UNSUPPORTED',
    `Only root may enter ${dataDir}, and none of ${elsewhere.join(', ')} can hold the database instead.`,
    'Set KVSCOPE_DATA_DIR to a folder that every user may enter, or DATABASE_URL to a PostgreSQL that already runs.',
  )
}

async function exists(path: string): Promise<boolean> {
  return access(path, constants.F_OK).then(
    () => true,
    () => false,
  )
}
