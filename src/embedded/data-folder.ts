import { mkdir, readdir, realpath, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { AppError } from '../errors.ts'
import { packageFolder } from '../package-folder.ts'
import { claimAlone, liveClaims } from './claims.ts'
import { stopServer } from './cluster.ts'
import { recordedElsewhere } from './database-home.ts'
import { postgresUsers } from './postgres.ts'

export interface Ownership {
  release(): Promise<void>
}

const owner = 'owner'

/** Everything that kvscope puts into a data folder by itself, drafts of killed processes included. */
const ownEntries = [
  /^(owner|postgres-start|postgres-user)\.\d+\.[0-9a-f]+\.(claim|draft)$/,
  /^postgres(\.draft-[0-9a-f]+(\.password)?)?$/,
  /^postgres-(elsewhere|password)(\.draft)?$/,
  /^postgres-port$/,
  /^postgres\.log$/,
  /^postgres-binaries-[\w.+-]+$/,
  /^(weights|logs|demo|bench-peers|machine-bounds)$/,
]

/**
 * Makes this process the one server (`serve` or `demo`) of a data folder. An owner that died, even by kill -9, counts no
 * more; nor does another process that got its pid.
 * @param address where the server is reached; whoever is refused is told
 * @throws AppError DATA_DIR_IN_USE naming the owner's pid and address
 */
export async function ownDataFolder(dataDir: string, address: string): Promise<Ownership> {
  try {
    await mkdir(dataDir, { recursive: true })
  } catch (error) {
    throw new AppError(
      'CONFLICT',
      `The data folder ${dataDir} cannot be made.`,
      'Set KVSCOPE_DATA_DIR to another.',
      error,
    )
  }
  const claim = await claimAlone(await realpath(dataDir), owner, address, 0)
  if ('held' in claim) return claim.held
  throw new AppError(
    'DATA_DIR_IN_USE',
    `The data folder ${dataDir} belongs to process ${claim.holder.pid}, which serves ${claim.holder.note}.`,
    `Use ${claim.holder.note}, stop that process, or set KVSCOPE_DATA_DIR to another folder.`,
  )
}

/** Whoever serves a data folder now; null where nobody does. */
export function dataFolderOwner(dataDir: string): { pid: number; address: string } | null {
  const claim = liveClaims(dataDir, owner)[0]
  return claim ? { pid: claim.pid, address: claim.note } : null
}

/**
 * Removes a data folder and the part of its database that had to lie elsewhere. A PostgreSQL that was left over is
 * stopped first.
 * @returns the paths removed
 * @throws AppError DATA_DIR_IN_USE while a process owns the folder or uses its PostgreSQL; PATH_FORBIDDEN for a folder
 *   that holds more than kvscope's data: the home folder, the current one, or one with an entry of another name
 */
export async function resetDataFolder(dataDir: string): Promise<string[]> {
  const folder = await realpath(dataDir).catch(() => null)
  if (folder === null) return []
  await refuseSharedFolder(folder)
  // Owning it while it goes keeps a server from starting in between.
  const ownership = await ownDataFolder(folder, 'a reset of the folder')
  try {
    const user = postgresUsers(folder)[0]
    if (user) {
      throw new AppError(
        'DATA_DIR_IN_USE',
        `Process ${user.pid} uses the database in ${folder}.`,
        'Wait for it or end it, then reset again.',
      )
    }
    const elsewhere = await recordedElsewhere(folder)
    await stopServer(join(elsewhere ?? folder, 'postgres'))
    if (elsewhere) await rm(elsewhere, { recursive: true, force: true })
    await rm(folder, { recursive: true, force: true })
    return elsewhere ? [folder, elsewhere] : [folder]
  } finally {
    await ownership.release()
  }
}

async function refuseSharedFolder(folder: string): Promise<void> {
  for (const precious of [homedir(), process.cwd(), packageFolder]) {
    const path = await realpath(precious).catch(() => precious)
    const below = relative(folder, path)
    if (below !== '' && (below.startsWith('..') || resolve(folder, below) !== path)) continue
    throw new AppError(
      'PATH_FORBIDDEN',
      `${folder} holds more than the data of kvscope (${path}), so it is not removed.`,
      'Set KVSCOPE_DATA_DIR to the folder that kvscope made for itself.',
    )
  }
  const foreign = (await readdir(folder)).find((name) => !ownEntries.some((own) => own.test(name)))
  if (foreign === undefined) return
  throw new AppError(
    'PATH_FORBIDDEN',
    `${folder} holds more than the data of kvscope (${foreign}), so it is not removed.`,
    `Set KVSCOPE_DATA_DIR to the folder that kvscope made for itself, or move ${foreign} away.`,
  )
}
