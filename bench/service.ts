import { mkdtempSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ApiClient, createApiClient } from '../src/cli/client.ts'
import { startSupervisor } from '../src/cli/supervisor.ts'
import { type Config, readConfig } from '../src/config.ts'
import { resetDataFolder } from '../src/embedded/data-folder.ts'

const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.on(name, () => interrupted.abort(new Error(`ended by ${name}`)))

/** Aborted by Ctrl-C: whoever waits ends, and what was started is taken down. */
export const { signal } = interrupted

export interface ServiceOptions {
  /** null: the queue lives in PostgreSQL */
  redisUrl?: string | null
  /** a folder of synthetic weights to use; nothing is written into it that is there */
  weights?: string
}

/** Starts a whole service in a data folder of its own, lets `work` use it, and leaves nothing behind. */
export async function withService<T>(
  { redisUrl = null, weights }: ServiceOptions,
  work: (client: ApiClient, config: Config) => Promise<T>,
): Promise<T> {
  const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-bench-'))
  if (weights !== undefined) symlinkSync(weights, join(dataDir, 'weights'))
  const environment = { KVSCOPE_DATA_DIR: dataDir, PORT: '0', KVSCOPE_LOG_LEVEL: 'error' }
  const config = { ...readConfig(environment), redisUrl }
  try {
    const supervisor = await startSupervisor({
      config,
      signal,
      output: 'inherit',
      onStep: () => {},
      onNotice: console.log,
    })
    try {
      return await work(createApiClient(supervisor.address, { signal }), config)
    } finally {
      await supervisor.stop()
    }
  } finally {
    await resetDataFolder(dataDir)
  }
}
