// Prisma's own schema engine, the WebAssembly one, over a driver adapter: it writes new migrations and says whether
// schema, migrations and a database agree. The native engine would have to be downloaded.
import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils'

const postgresChar = 18
const postgresText = 25
const engineCharacter = 6
const noFilter = { externalTables: [], externalEnums: [] }

/** SQL that leads from the migrations to the schema; null where there is nothing to do. */
export async function nextMigration({ url, schemaFile, migrations }) {
  const engine = await openEngine(url, schemaFile)
  const from = { tag: 'migrations', ...migrationsList(migrations) }
  const { exitCode, stdout } = await diff(engine, from, { tag: 'schemaDatamodel', ...schemaFiles(schemaFile) })
  return exitCode === 2 ? stdout : null
}

/** What the engine finds wrong with a database that all migrations were applied to; empty where all agree. */
export async function findDisagreements({ url, schemaFile, migrations }) {
  const engine = await openEngine(url, schemaFile)
  const history = await engine.diagnoseMigrationHistory({
    migrationsList: migrationsList(migrations),
    optInToShadowDatabase: false,
    filters: noFilter,
  })
  const from = { tag: 'schemaDatasource', ...schemaFiles(schemaFile), configDir: process.cwd() }
  const drift = await diff(engine, from, { tag: 'schemaDatamodel', ...schemaFiles(schemaFile) })
  return [
    ...(history.history === null ? [] : [`history: ${JSON.stringify(history.history)}`]),
    ...history.editedMigrationNames.map((name) => `edited: ${name}`),
    ...history.failedMigrationNames.map((name) => `failed: ${name}`),
    ...(drift.exitCode === 0 ? [] : [`drift: ${drift.stdout}`]),
  ]
}

const diff = (engine, from, to) => engine.diff({ from, to, script: true, exitCode: true, filters: noFilter })

const schemaFiles = (file) => ({ files: [{ path: file, content: readFileSync(file, 'utf8') }] })

function migrationsList(folder) {
  const names = readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry.name] : [],
  )
  const lock = join(folder, 'migration_lock.toml')
  return {
    baseDir: folder,
    lockfile: { path: 'migration_lock.toml', content: existsSync(lock) ? readFileSync(lock, 'utf8') : null },
    shadowDbInitScript: '',
    migrationDirectories: names.sort().map((path) => {
      const value = readFileSync(join(folder, path, 'migration.sql'), 'utf8')
      return { path, migrationFile: { path: 'migration.sql', content: { tag: 'ok', value } } }
    }),
  }
}

let bindings = null

async function openEngine(url, schemaFile) {
  bindings ??= await loadBindings()
  const datamodels = [[schemaFile, readFileSync(schemaFile, 'utf8')]]
  return bindings.SchemaEngine.new({ datamodels }, () => {}, bindMigrationAwareSqlAdapterFactory(adapterFactory(url)))
}

/** The package's own entry imports the .wasm file as a module, which Node 20 does only behind a flag. */
async function loadBindings() {
  globalThis.PRISMA_WASM_PANIC_REGISTRY ??= {
    message: '',
    set_message(message) {
      this.message = message
    },
    get() {
      return this.message
    },
  }
  const entry = import.meta.resolve('@prisma/schema-engine-wasm/schema_engine_bg')
  const glue = await import(entry)
  const bytes = readFileSync(new URL('./schema_engine_bg.wasm', entry))
  const { instance } = await WebAssembly.instantiate(bytes, { './schema_engine_bg.js': glue })
  glue.__wbg_set_wasm(instance.exports)
  instance.exports.__wbindgen_start()
  return glue
}

/**
 * The adapter with its gaps closed. Its own shadow connection keeps the connection string of the main database,
 * which wins over the shadow's name, so the settings are given one by one; and it would drop the shadow while its own
 * connections are still open.
 */
function adapterFactory(url) {
  const settings = discreteSettings(url)
  const factory = new PrismaPg(settings)
  const connect = factory.connect.bind(factory)
  factory.connect = async () => mendAdapter(await connect())
  factory.connectToShadowDb = async () => {
    const database = `prisma_migrate_shadow_db_${randomUUID()}`
    const main = await connect()
    await main.executeScript(`CREATE DATABASE "${database}"`)
    const shadow = mendAdapter(await new PrismaPg({ ...settings, database }).connect())
    const close = shadow.dispose.bind(shadow)
    shadow.dispose = async () => {
      await close()
      await main.executeScript(`DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`)
      await main.dispose()
    }
    return shadow
  }
  return factory
}

function discreteSettings(url) {
  const { hostname: host, port, username, password, pathname } = new URL(url)
  const [user, secret] = [decodeURIComponent(username), decodeURIComponent(password)]
  return { host, port: Number(port || 5432), user, password: secret || undefined, database: pathname.slice(1) }
}

/**
 * The adapter cuts scripts at every semicolon, also within a quoted body; here they are sent whole. And it knows no
 * "char" (oid 18), which the engine selects from the catalogue: it passes as text, then as a character.
 */
function mendAdapter(adapter) {
  const query = adapter.client.query.bind(adapter.client)
  adapter.executeScript = async (script) => {
    await query(script)
  }
  const columns = new WeakMap()
  adapter.client.query = async (...args) => {
    const result = await query(...args)
    if (!result?.fields) return result
    const found = result.fields.flatMap((field, index) => (field.dataTypeID === postgresChar ? [index] : []))
    for (const index of found) result.fields[index].dataTypeID = postgresText
    columns.set(result.rows, found)
    return result
  }
  const queryRaw = adapter.queryRaw.bind(adapter)
  adapter.queryRaw = async (request) => {
    const result = await queryRaw(request)
    for (const index of columns.get(result.rows) ?? []) result.columnTypes[index] = engineCharacter
    return result
  }
  return adapter
}
