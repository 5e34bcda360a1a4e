import pg from 'pg'

/** BullMQ pins its connections to a schema of its own; what it sends goes on by itself, also between requests. */
function isOfQueue(client: pg.Client): boolean {
  return String(Object(Object(client).connectionParameters).options).includes('search_path="bullmq"')
}

/**
 * Counts what this process sends to PostgreSQL while `work` is under way, BEGIN and COMMIT included and only BullMQ's
 * own connections left out.
 */
export async function countStatements<T>(work: () => Promise<T>): Promise<{ result: T; statements: string[] }> {
  const statements: string[] = []
  const prototype = pg.Client.prototype
  const query = prototype.query
  prototype.query = function counted(this: pg.Client, ...args: unknown[]) {
    const [first] = args
    if (!isOfQueue(this)) statements.push(typeof first === 'string' ? first : String(Object(first).text))
    return Reflect.apply(query, this, args)
  }
  try {
    return { result: await work(), statements }
  } finally {
    prototype.query = query
  }
}
