import type { AttentionTileRow } from '../heads/rows.ts'
import type { Database } from './client.ts'
import type { Guard } from './rows.ts'

/** In the order of `valuesOf`. */
const columns = [
  { name: 'prompt', type: 'int' },
  { name: 'layer', type: 'int' },
  { name: 'head', type: 'int' },
  { name: 'level', type: 'int' },
  { name: 'row', type: 'int' },
  { name: 'column', type: 'int' },
  { name: 'statistic', type: '"TileStatistic"' },
  { name: 'rows', type: 'int' },
  { name: 'columns', type: 'int' },
  { name: 'data', type: 'bytea' },
] as const satisfies readonly { name: keyof AttentionTileRow; type: string }[]

/**
 * Stores tiles as insertHeadRows does, but past Prisma, whose parameters go through base64: 95 MB/s where that makes 60.
 * PostgreSQL counts a statement's parameters in 16 bits, so at most 6,553 rows.
 * @returns false where the run is no longer this attempt's; then nothing was written
 */
export async function insertTiles(
  { pool }: Database,
  guard: Guard,
  rows: readonly AttentionTileRow[],
): Promise<boolean> {
  const names = (prefix: string) => columns.map(({ name }) => `${prefix}"${name}"`).join(', ')
  const values = rows.map((_, index) => {
    const first = 3 + index * columns.length
    return `(${columns.map(({ type }, column) => `$${first + column}::${type}`).join(', ')})`
  })
  const stored =
    rows.length === 0
      ? ''
      : `, stored AS (
          INSERT INTO "AttentionTile" ("runId", attempt, ${names('')})
          SELECT run.id, run.attempt, ${names('item.')}
          FROM run, (VALUES ${values.join(', ')}) AS item(${names('')})
          ON CONFLICT DO NOTHING
        )`
  const result = await pool.query(
    `WITH run AS (
      SELECT id, attempt FROM "Run" WHERE id = $1::uuid AND attempt = $2::int AND status = 'RUNNING' FOR SHARE
    )${stored}
    SELECT id FROM run`,
    [guard.runId, guard.attempt, ...rows.flatMap(valuesOf)],
  )
  return result.rows.length > 0
}

function valuesOf(row: AttentionTileRow): (number | string | Buffer)[] {
  return columns.map(({ name }) => {
    const value = row[name]
    return typeof value === 'object' ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value
  })
}
