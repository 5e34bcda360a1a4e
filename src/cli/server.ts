import { type ApiClient, createApiClient } from './client.ts'
import type { CommandContext } from './command.ts'

/**
 * Lets a command talk to a kvscope API, always over HTTP: the server named by `--server`, else the one that owns the data
 * folder, else an API of its own on a free port over the data folder's database, for as long as the command lasts.
 */
export async function withApi<T>(
  { config, signal }: CommandContext,
  server: string | undefined,
  use: (client: ApiClient) => Promise<T>,
): Promise<T> {
  const { dataFolderOwner } = await import('../embedded/data-folder.ts')
  const secret = config.tokens[0]?.secret
  const address = server ?? dataFolderOwner(config.dataDir)?.address
  // A reset owns the folder too, without an address.
  if (address?.startsWith('http')) return use(createApiClient(address, { secret, signal }))

  const [{ startApi }, { openDatabaseServer }] = await Promise.all([import('../api/main.ts'), import('./database.ts')])
  const database = await openDatabaseServer(config)
  try {
    signal.throwIfAborted()
    const api = await startApi({ ...config, port: 0, host: '127.0.0.1', logLevel: 'error' }, database.url)
    try {
      return await use(createApiClient(api.address, { secret, signal }))
    } finally {
      await api.close()
    }
  } finally {
    await database.stop()
  }
}
