import pino, { type Logger } from 'pino'

export type { Logger }

/** Whatever carries one of these names is printed as [redacted], three levels deep. */
const secretNames = ['authorization', 'cookie', 'password', 'secret', 'token', 'tokens', 'databaseUrl', 'redisUrl']
const secretPaths = secretNames.flatMap((name) => [name, `*.${name}`, `*.*.${name}`])

/** A logger of JSON lines on stderr: stdout belongs to what a command prints. */
export function createLogger(process: 'api' | 'worker' | 'supervisor', level: string): Logger {
  return pino(
    { name: `kvscope-${process}`, level, redact: { paths: secretPaths, censor: '[redacted]' } },
    pino.destination({ dest: 2, sync: true }),
  )
}
