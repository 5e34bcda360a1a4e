import { join } from 'node:path'
import { type ApiClient, createApiClient } from './client.ts'
import type { CommandContext } from './command.ts'

/**
 * Starts the whole service for a command, uses it as any client would, and stops it again: API, database and one worker
 * on a free port of this machine, logging into the data folder.
 * @param modelRoots folders that may be read besides those of the configuration
 * @throws AppError DATA_DIR_IN_USE where another kvscope owns the data folder; what `use` throws
 */
export async function withOwnService<T>(
  { config, terminal, signal }: CommandContext,
  { name, modelRoots }: { name: string; modelRoots: readonly string[] },
  use: (client: ApiClient) => Promise<T>,
): Promise<T> {
  const logPath = join(config.dataDir, 'logs', `${name}.log`)
  // One that is refused, as by the owner of the data folder, has logged nothing.
  let logged = false
  const { startSupervisor } = await import('./supervisor.ts')
  try {
    const supervisor = await startSupervisor({
      config: { ...config, port: 0, host: '127.0.0.1', modelRoots: [...config.modelRoots, ...modelRoots] },
      signal,
      output: { file: logPath },
      onStep: (step) => {
        logged = true
        terminal.progress(0, step)
      },
      onNotice: (notice) => terminal.note(notice),
    })
    try {
      const secret = config.tokens[0]?.secret
      return await use(createApiClient(supervisor.address, { secret, signal, retryMs: 30_000 }))
    } finally {
      terminal.endProgress()
      await supervisor.stop()
    }
  } catch (error) {
    if (logged && !signal.aborted) terminal.note(`The log of API and worker: ${logPath}`)
    throw error
  }
}
