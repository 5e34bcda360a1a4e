import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { compiledFile } from '../../src/package-folder.ts'

/** Whether a process of that id exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Waits until `condition` holds, asking every 20 ms; what it throws meanwhile is told only when it never holds. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  withinMs = 60_000,
): Promise<void> {
  const deadline = Date.now() + withinMs
  let thrown: unknown
  for (;;) {
    try {
      thrown = undefined
      if (await condition()) return
    } catch (error) {
      thrown = error
    }
    if (Date.now() > deadline) throw new Error(`${what}: not within ${withinMs} ms`, { cause: thrown })
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Starts a TypeScript entry of test/support as a process of its own. */
export function startEntry(
  name: string,
  args: readonly string[] = [],
  environment: NodeJS.ProcessEnv = {},
): ChildProcess {
  const entry = compiledFile(`test/support/${name}`)
  return spawn(process.execPath, [entry, ...args], {
    env: { ...process.env, ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
}

/** The first line that a process prints. */
export async function firstLine(child: ChildProcess): Promise<string> {
  let text = ''
  for await (const chunk of child.stdout ?? []) {
    text += chunk
    if (text.includes('\n')) break
  }
  return text.split('\n')[0] ?? ''
}

/** Ends a process with SIGKILL and waits until it has gone. */
export async function killNow(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}
