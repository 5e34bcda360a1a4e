import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'

export const redisDatabases = 512

const pidFile = 'redis.pid'

export interface RedisServer {
  url: string
  stop(): Promise<void>
}

/** A Redis of the tests' own on a free port, nothing of it kept; null where redis-server is not on PATH. */
export async function startRedis(folder: string): Promise<RedisServer | null> {
  if (spawnSync('redis-server', ['--version'], { stdio: 'ignore' }).status !== 0) return null
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  const memoryOnly = ['--save', '', '--appendonly', 'no', '--dir', folder]
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--pidfile', join(folder, pidFile)]
  const options = [...place, '--databases', String(redisDatabases), ...memoryOnly]
  const server = spawn('redis-server', options, { stdio: ['ignore', 'pipe', 'inherit'] })
  await ready(server)
  return { url: `redis://127.0.0.1:${port}`, stop: () => stop(server) }
}

/** Ends the Redis of a test run that was killed itself. */
export function endLeftOverRedis(folder: string): void {
  if (!existsSync(join(folder, pidFile))) return
  const pid = Number(readFileSync(join(folder, pidFile), 'utf8'))
  const { stdout } = spawnSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' })
  if (pid > 0 && stdout?.includes('redis-server')) process.kill(pid, 'SIGKILL')
}

async function ready(server: ChildProcess): Promise<void> {
  let said = ''
  await new Promise<void>((resolve, reject) => {
    server.stdout?.on('data', (chunk) => {
      said += chunk
      if (said.includes('Ready to accept connections')) resolve()
    })
    server.once('error', reject)
    server.once('exit', () => reject(new Error(`redis-server ended:\n${said}`)))
  })
  // A full pipe would stop the server.
  server.stdout?.removeAllListeners('data').resume()
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  server.kill('SIGTERM')
  const hard = setTimeout(() => server.kill('SIGKILL'), 5_000)
  await once(server, 'exit')
  clearTimeout(hard)
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => (address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port'))))
    })
  })
}
