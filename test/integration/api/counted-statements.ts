import pg from 'pg'

/** Counts what this process sends to PostgreSQL while `work` is under way, BEGIN and COMMIT included. */
export async function countStatements<T>(work: () => Promise<T>): Promise<{ result: T; statements: string[] }> {
  const statements: string[] = []
  const prototype = pg.Client.prototype
  const query = prototype.query
  prototype.query = function counted(this: pg.Client, ...args: unknown[]) {
    const [first] = args
    statements.push(typeof first === 'string' ? first : String(Object(first).text))
    return Reflect.apply(query, this, args)
  }
  try {
    return { result: await work(), statements }
  } finally {
    prototype.query = query
  }
}
