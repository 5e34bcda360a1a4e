import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { afterAll } from 'vitest'
import { compiledFile } from '../../src/package-folder.ts'
import { killNow, until } from './processes.ts'

const entry = compiledFile('src/api/main.ts')
const everyProcess: ChildProcess[] = []

export interface ApiPlan {
  databaseUrl: string
  redisUrl: string | null
  port: number
}

/** Starts the API as users do, with the short intervals of the tests' workers, and waits until it listens. */
export async function startApiProcess({ databaseUrl, redisUrl, port }: ApiPlan): Promise<ChildProcess> {
  const child = spawn(process.execPath, [entry], {
    env: {
      ...process.env,
      DATABASE_URL: databaseUrl,
      REDIS_URL: redisUrl ?? '',
      PORT: String(port),
      KVSCOPE_QUEUE_LOCK_SECONDS: '2.5',
      KVSCOPE_SWEEP_SECONDS: '0.3',
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  everyProcess.push(child)
  let log = ''
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk
  })
  const ended = () => child.exitCode !== null || child.signalCode !== null
  await until('the API listens', () => ended() || log.includes('"address":"http:'))
  if (ended()) throw new Error(`the API ended with ${child.exitCode ?? child.signalCode}\n${log}`)
  return child
}

/**
 * A port that nothing listens on and that stays free while its server is down: below those that systems hand out by
 * themselves, which a client that keeps on trying could even be given as its own.
 */
export async function findLastingPort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    if (await canListen(port)) return port
  }
}

function canListen(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

afterAll(() => Promise.all(everyProcess.map(killNow)))
