/** What the global setup hands to every test file. */
export interface Servers {
  /** Of the server's maintenance database; null where only unit tests were asked for. */
  adminUrl: string | null
  template: string
  /** null where no redis-server is on PATH */
  redisUrl: string | null
  /** Every process that a test starts inherits it as KVSCOPE_TEST_RUN. */
  runId: string
}

declare module 'vitest' {
  interface ProvidedContext {
    servers: Servers
  }
}
