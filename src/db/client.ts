import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { type Prisma, PrismaClient } from '../generated/prisma/client.ts'

export type Database = PrismaClient & {
  /** Connections without Prisma, for what is megabytes long: it would turn bytes into base64 and back. */
  pool: pg.Pool
  close(): Promise<void>
}
/** What a query needs: the database itself, or a transaction on it. */
export type Queries = Prisma.TransactionClient

/** A pool of connections; none is opened before the first query. A dead server is met again by the next query. */
export function connectDatabase(url: string, options: { maxConnections?: number } = {}): Database {
  const server = {
    connectionString: url,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    application_name: 'kvscope',
  }
  // A pool's idle connections break when the server goes; they are replaced when next needed.
  const adapter = new PrismaPg({ ...server, max: options.maxConnections ?? 10 })
  const client = new PrismaClient({ adapter })
  const pool = new pg.Pool({ ...server, max: 1 })
  pool.on('error', () => undefined)
  const close = async () => {
    await client.$disconnect()
    if (!pool.ending) await pool.end()
  }
  return Object.assign(client, { pool, close })
}
