import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runMigrations } from 'bullmq'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { migrate } from '../../src/db/migrate.ts'
import { resetDataFolder } from '../../src/embedded/data-folder.ts'
import { type EmbeddedPostgres, startPostgres } from '../../src/embedded/postgres.ts'
import { pidExists } from '../../src/embedded/process-identity.ts'
import { prepareFiles } from '../../tools/prepare.mjs'
import { findLeakedProcesses, testRunVariable } from './leaked-processes.ts'
import './provided.ts'
import { endLeftOverRedis, type RedisServer, startRedis } from './redis-server.ts'

const prefix = 'kvscope-test-'
const template = 'kvscope_template'

/** Nothing here needs to outlive the machine. */
const hasty = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_wal_size: '4GB' }

/** Starts what the tests share, and at the end fails the suite if any process that a test started is still there. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  // Tests decide for themselves what they talk to.
  for (const name of Object.keys(process.env)) {
    if (/^(DATABASE_URL|REDIS_URL|PORT|KVSCOPE_.*)$/.test(name)) delete process.env[name]
  }
  // Whatever a test starts runs from dist/, and before every rerun of the watch mode too it must be what stands in src/.
  await prepareFiles()
  project.onTestsRerun(prepareFiles)
  await sweepUp()
  const runId = randomBytes(8).toString('hex')
  process.env[testRunVariable] = runId
  const folder = mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`))
  chmodSync(folder, 0o755)

  let postgres: EmbeddedPostgres | null = null
  let redis: RedisServer | null = null
  const stopServers = async () => {
    await redis?.stop()
    await postgres?.stop()
    await removeFolder(folder)
  }
  try {
    if (needsServers()) {
      postgres = await startPostgres(folder, { maxConnections: 500, settings: hasty })
      redis = await startRedis(join(folder, 'redis'))
      await makeTemplate(postgres.url)
    }
  } catch (error) {
    await stopServers()
    throw error
  }
  project.provide('servers', { adminUrl: postgres?.url ?? null, template, redisUrl: redis?.url ?? null, runId })

  return async () => {
    await stopServers()
    const leaked = await findLeakedProcesses(runId, 5_000)
    for (const { pid } of leaked) process.kill(pid, 'SIGKILL')
    if (leaked.length === 0) return
    // Vitest reports an error of a teardown, and then ends as if all were well.
    process.exitCode = 1
    const list = leaked.map(({ pid, command }) => `  ${pid} ${command}`).join('\n')
    throw new Error(`Tests left processes behind (now killed):\n${list}`)
  }
}

/** `vitest run test/unit/stats` needs no database. */
function needsServers(): boolean {
  const asked = process.argv.filter((argument) => /(^|\/)test\//.test(argument))
  return asked.length === 0 || asked.some((argument) => !/test\/(unit|golden)(\/|$)/.test(argument))
}

async function makeTemplate(adminUrl: string): Promise<void> {
  const url = new URL(adminUrl)
  url.pathname = `/${template}`
  const admin = new pg.Client({ connectionString: adminUrl })
  await admin.connect()
  await admin.query(`CREATE DATABASE ${template}`)
  await admin.end()
  await migrate(url.href)
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  await runMigrations(client)
  await client.end()
}

/** Redis is the tests' own: a reset would refuse a folder that holds it. */
async function removeFolder(folder: string): Promise<void> {
  await rm(join(folder, 'redis'), { recursive: true, force: true })
  await resetDataFolder(folder)
}

/** Ends what a test run that was itself killed had to leave. */
async function sweepUp(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const pid = Number(name.startsWith(prefix) ? name.slice(prefix.length).split('-')[0] : Number.NaN)
    if (!Number.isSafeInteger(pid) || pidExists(pid)) continue
    const folder = join(tmpdir(), name)
    endLeftOverRedis(join(folder, 'redis'))
    await removeFolder(folder).catch(() => rm(folder, { recursive: true, force: true }))
  }
}
