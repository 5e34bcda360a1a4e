import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { commandLine, pidExists } from './process-identity.ts'

/** What the server says of itself in postmaster.pid. */
export interface Postmaster {
  pid: number
  port: number
  state: 'starting' | 'ready' | 'stopping'
}

/** The living server of a database folder; null where there is none, whatever a left-over postmaster.pid says. */
export function findPostmaster(cluster: string): Postmaster | null {
  const written = readPidFile(cluster)
  return written && isPostmaster(written.pid, cluster) ? written : null
}

/**
 * The pid in postmaster.pid where it now belongs to some other program. PostgreSQL would refuse to start over such a
 * file, as it knows pids only; after a restart of a container small pids are taken again at once.
 */
export function pidTakenByAnother(cluster: string): number | null {
  const written = readPidFile(cluster)
  return written && pidExists(written.pid) && !isPostmaster(written.pid, cluster) ? written.pid : null
}

/**
 * Fast shutdown (open transactions are rolled back), then an immediate one, then SIGKILL.
 * @param patience milliseconds to wait after each of the first two
 * @returns once the server is gone
 */
export async function stopPostmaster(pid: number, cluster: string, patience: number): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    if (!isPostmaster(pid, cluster)) return
    signalPostmaster(pid, signal)
    const deadline = Date.now() + patience
    while (isPostmaster(pid, cluster) && Date.now() < deadline) await sleep(10)
  }
}

export function signalPostmaster(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // Gone between the look and the signal.
  }
}

/** Whether that pid is a postmaster of that folder: the server's working directory is its data directory. */
export function isPostmaster(pid: number, cluster: string): boolean {
  if (!pidExists(pid)) return false
  if (process.platform === 'linux') {
    try {
      const here = statSync(`/proc/${pid}/cwd`)
      const there = statSync(cluster)
      return here.ino === there.ino && here.dev === there.dev
    } catch {
      // A zombie has no working directory.
      return false
    }
  }
  const command = commandLine(pid)
  return command === null ? process.platform === 'win32' : command.includes('postgres')
}

/** Lines of postmaster.pid: pid, folder, start, port, socket folder, address, shared memory, state. */
function readPidFile(cluster: string): Postmaster | null {
  try {
    const lines = readFileSync(join(cluster, 'postmaster.pid'), 'utf8').split('\n')
    const pid = Number(lines[0])
    const word = lines[7]?.trim()
    if (!Number.isSafeInteger(pid) || pid <= 0) return null
    return { pid, port: Number(lines[3]), state: word === 'ready' || word === 'stopping' ? word : 'starting' }
  } catch {
    return null
  }
}
