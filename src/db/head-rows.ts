import { Prisma } from '../generated/prisma/client.ts'
import type {
  AttentionHeadRow,
  AttentionPromptRow,
  HeadDiversityRow,
  HeadRows,
  HeadSharingRow,
  WeightMatrixRow,
} from '../heads/rows.ts'
import type { Database } from './client.ts'
import { insertTiles } from './insert-tiles.ts'
import type { Guard } from './rows.ts'
import { isRunningAttempt } from './run-moves.ts'
import { storableText } from './stored-text.ts'

/**
 * Stores a batch of rows about heads under the guard's attempt. The run's row is locked against a new attempt while they
 * are written. A batch that comes again, as after an answer that was lost, is there already and stays as it is.
 * @returns false where the run is no longer this attempt's; then nothing more was written
 */
export async function insertHeadRows(db: Database, guard: Guard, batch: HeadRows): Promise<boolean> {
  if (batch.of === 'attentionTiles') return insertTiles(db, guard, batch.rows)
  const { atOnce } = tables[batch.of]
  for (let from = 0; from === 0 || from < batch.rows.length; from += atOnce) {
    if (!(await insertPart(db, guard, batch, from, from + atOnce))) return false
  }
  return true
}

async function insertPart(db: Database, guard: Guard, batch: SmallRows, from: number, end: number): Promise<boolean> {
  const values = valuesOf(batch, from, end)
  const { table, columns } = tables[batch.of]
  const names = (prefix: string) => columns.map((column) => `${prefix}"${column}"`).join(', ')
  const stored =
    values.length === 0
      ? Prisma.empty
      : Prisma.sql`, stored AS (
          INSERT INTO ${Prisma.raw(`"${table}" ("runId", attempt, ${names('')})`)}
          SELECT run.id, run.attempt, ${Prisma.raw(names('item.'))}
          FROM run, (VALUES ${Prisma.join(values)}) AS item(${Prisma.raw(names(''))})
          ON CONFLICT DO NOTHING
        )`
  const result = await db.$queryRaw<unknown[]>`
    WITH run AS (
      SELECT id, attempt FROM "Run" WHERE ${isRunningAttempt(guard)} FOR SHARE
    )${stored}
    SELECT id FROM run`
  return result.length > 0
}

type SmallRows = Exclude<HeadRows, { of: 'attentionTiles' }>

/**
 * Where each kind of row goes; its columns in the order in which `valuesOf` names them; and how many rows make one
 * statement. PostgreSQL counts a statement's parameters in 16 bits, and the maps of a model of 80 layers x 128 heads come
 * in one batch; and what is turned into JSON holds up all else that the process does.
 */
const tables = {
  weightMatrices: {
    table: 'WeightMatrix',
    atOnce: 500,
    columns: [
      ...['layer', 'projection', 'matrix', 'heads', 'rows', 'columns', 'values', 'minimum', 'maximum', 'mean'],
      ...['standardDeviation', 'tensor', 'tensorShape', 'tensorRows', 'tensorColumns', 'transposed', 'dtype'],
    ],
  },
  headSharing: {
    table: 'HeadSharing',
    atOnce: 1,
    columns: ['layer', 'projection', 'groups', 'byConstruction', 'maxDifference', 'cosine', 'cka'],
  },
  attentionPrompts: { table: 'AttentionPrompt', atOnce: 1, columns: ['prompt', 'text', 'tokens'] },
  attentionHeads: {
    table: 'AttentionHead',
    atOnce: 500,
    columns: ['prompt', 'layer', 'head', 'kvHead', 'size', 'storedAs', 'entropy', 'overviewSide', 'overview'],
  },
  headDiversity: { table: 'HeadDiversity', atOnce: 1, columns: ['layer', 'values'] },
} as const satisfies Record<SmallRows['of'], { table: string; atOnce: number; columns: readonly string[] }>

function valuesOf(batch: SmallRows, from: number, end: number): Prisma.Sql[] {
  switch (batch.of) {
    case 'weightMatrices':
      return batch.rows.slice(from, end).map(weightMatrix)
    case 'headSharing':
      return batch.rows.slice(from, end).map(headSharing)
    case 'attentionPrompts':
      return batch.rows.slice(from, end).map(attentionPrompt)
    case 'attentionHeads':
      return batch.rows.slice(from, end).map(attentionHead)
    case 'headDiversity':
      return batch.rows.slice(from, end).map(headDiversity)
  }
}

function weightMatrix(row: WeightMatrixRow): Prisma.Sql {
  return Prisma.sql`(${row.layer}::int, ${row.projection}::"Projection", ${row.matrix}::int, ${row.heads}::int[],
    ${row.rows}::int, ${row.columns}::int, ${bytes(row.values)}::bytea, ${row.minimum}::float8, ${row.maximum}::float8,
    ${row.mean}::float8, ${row.standardDeviation}::float8, ${storableText(row.tensor)}::text, ${row.tensorShape}::int[],
    ${row.tensorRows}::int[], ${row.tensorColumns}::int[], ${row.transposed}::boolean, ${row.dtype}::text)`
}

function headSharing(row: HeadSharingRow): Prisma.Sql {
  return Prisma.sql`(${row.layer}::int, ${row.projection}::"Projection", ${json(row.groups)}::jsonb,
    ${row.byConstruction}::boolean, ${json(row.maxDifference)}::jsonb, ${json(row.cosine)}::jsonb, ${json(row.cka)}::jsonb)`
}

function attentionPrompt(row: AttentionPromptRow): Prisma.Sql {
  // A byte-level token may be half a character.
  const tokens = row.tokens.map((token) => ({ ...token, text: storableText(token.text) }))
  return Prisma.sql`(${row.prompt}::int, ${storableText(row.text)}::text, ${json(tokens)}::jsonb)`
}

function attentionHead(row: AttentionHeadRow): Prisma.Sql {
  return Prisma.sql`(${row.prompt}::int, ${row.layer}::int, ${row.head}::int, ${row.kvHead}::int, ${row.size}::int,
    ${row.storedAs}::text, ${row.entropy}::float8, ${row.overviewSide}::int, ${bytes(row.overview)}::bytea)`
}

function headDiversity(row: HeadDiversityRow): Prisma.Sql {
  return Prisma.sql`(${row.layer}::int, ${json(row.values)}::jsonb)`
}

function json(value: unknown): string {
  return JSON.stringify(value)
}

function bytes(data: Uint8Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
}
