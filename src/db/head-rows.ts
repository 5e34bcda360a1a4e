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
 * @returns false where the run is no longer this attempt's; then nothing was written
 */
export async function insertHeadRows(db: Database, guard: Guard, batch: HeadRows): Promise<boolean> {
  if (batch.of === 'attentionTiles') return insertTiles(db, guard, batch.rows)
  const values = valuesOf(batch)
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

/** Where each kind of row goes; its columns in the order in which `valuesOf` names them. */
const tables = {
  weightMatrices: {
    table: 'WeightMatrix',
    columns: [
      ...['layer', 'projection', 'matrix', 'heads', 'rows', 'columns', 'values', 'minimum', 'maximum', 'mean'],
      ...['standardDeviation', 'tensor', 'tensorShape', 'tensorRows', 'tensorColumns', 'transposed', 'dtype'],
    ],
  },
  headSharing: {
    table: 'HeadSharing',
    columns: ['layer', 'projection', 'groups', 'byConstruction', 'maxDifference', 'cosine', 'cka'],
  },
  attentionPrompts: { table: 'AttentionPrompt', columns: ['prompt', 'text', 'tokens'] },
  attentionHeads: {
    table: 'AttentionHead',
    columns: ['prompt', 'layer', 'head', 'kvHead', 'size', 'storedAs', 'entropy', 'overviewSide', 'overview'],
  },
  headDiversity: { table: 'HeadDiversity', columns: ['layer', 'values'] },
} as const satisfies Record<SmallRows['of'], { table: string; columns: readonly string[] }>

function valuesOf(batch: SmallRows): Prisma.Sql[] {
  switch (batch.of) {
    case 'weightMatrices':
      return batch.rows.map(weightMatrix)
    case 'headSharing':
      return batch.rows.map(headSharing)
    case 'attentionPrompts':
      return batch.rows.map(attentionPrompt)
    case 'attentionHeads':
      return batch.rows.map(attentionHead)
    case 'headDiversity':
      return batch.rows.map(headDiversity)
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
