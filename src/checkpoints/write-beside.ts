import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** A write that goes on touches its file every few milliseconds; one this old belongs to a process that was killed. */
const abandonedAfterMs = 10 * 60 * 1000
/** The same where no process has the writer's pid; it may still live in another container that shares the folder. */
const deadAfterMs = 10_000

/** Whether a process of this machine, or of this container, has the pid. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** Removes what killed processes left beside `file`. */
export async function removeAbandoned(file: string): Promise<void> {
  const folder = dirname(file)
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${basename(file)}.`) || !name.endsWith('.part')) continue
    const path = join(folder, name)
    const status = await stat(path).catch(() => null)
    if (status === null) continue
    const pid = Number(name.slice(basename(file).length + 1).split('-')[0])
    if (Date.now() - status.mtimeMs > (isRunning(pid) ? abandonedAfterMs : deadAfterMs)) await rm(path, { force: true })
  }
}

/**
 * Writes `file` under a name of its own beside it and renames it when `write` has ended, so that a reader sees the
 * whole file or none. Where `write` fails nothing is left behind. Two writers of one file do not disturb each other:
 * the last to end wins.
 */
export async function writeBeside(file: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await removeAbandoned(file)
  const part = `${file}.${process.pid}-${randomBytes(6).toString('hex')}.part`
  try {
    const handle = await open(part, 'wx')
    try {
      await write(handle)
    } finally {
      await handle.close()
    }
    await rename(part, file)
  } catch (error) {
    await rm(part, { force: true })
    throw error
  }
}
