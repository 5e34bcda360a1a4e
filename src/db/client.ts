import { PrismaPg } from '@prisma/adapter-pg'
import { type Prisma, PrismaClient } from '../generated/prisma/client.ts'

export type Database = PrismaClient & { close(): Promise<void> }
/** What a query needs: the database itself, or a transaction on it. */
export type Queries = Prisma.TransactionClient

/** A pool of connections; none is opened before the first query. A dead server is met again by the next query. */
export function connectDatabase(url: string, options: { maxConnections?: number } = {}): Database {
  // A pool's idle connections break when the server goes; they are replaced when next needed.
  const adapter = new PrismaPg({
    connectionString: url,
    max: options.maxConnections ?? 10,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    application_name: 'kvscope',
  })
  const client = new PrismaClient({ adapter })
  return Object.assign(client, { close: () => client.$disconnect() })
}
