// Writes the next migration: what prisma/schema.prisma has and prisma/migrations has not.
// Usage: node tools/new-migration.mjs NAME
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { prepare } from './prepare.mjs'
import { nextMigration } from './schema-engine.mjs'

const name = process.argv[2]
if (!name || !/^[a-z][a-z0-9_]*$/.test(name)) {
  console.error('Usage: node tools/new-migration.mjs name_in_snake_case')
  process.exit(2)
}
await prepare()
const { startPostgres } = await import('../dist/src/embedded/postgres.js')
const { resetDataFolder } = await import('../dist/src/embedded/data-folder.js')
const root = resolve(import.meta.dirname, '..')
const migrations = join(root, 'prisma/migrations')
mkdirSync(migrations, { recursive: true })
writeFileSync(join(migrations, 'migration_lock.toml'), 'provider = "postgresql"\n')

// A server of its own, as the shadow database: migrations are replayed there.
const folder = mkdtempSync(join(tmpdir(), 'kvscope-migration-'))
const postgres = await startPostgres(folder)
try {
  const schemaFile = join(root, 'prisma/schema.prisma')
  const sql = await nextMigration({ url: postgres.url, schemaFile, migrations })
  if (sql === null) {
    console.log('The migrations hold everything that the schema has.')
  } else {
    const stamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14)
    const target = join(migrations, `${stamp}_${name}`)
    mkdirSync(target)
    writeFileSync(join(target, 'migration.sql'), sql)
    console.log(`Wrote ${target}/migration.sql: read it before you commit it.`)
  }
} finally {
  await postgres.stop()
  await resetDataFolder(folder)
}
process.exit(0)
