import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { processesOf, type RunningCommand, runCommand, startCommand } from '../support/command-line.ts'
import { isAlive, until } from '../support/processes.ts'

vi.setConfig({ testTimeout: 180_000 })

const folder = mkdtempSync(join(tmpdir(), 'kvscope-serve-'))
const dataDir = join(folder, 'data')
const running: RunningCommand[] = []

function serve(environment: Record<string, string> = {}): RunningCommand {
  const command = startCommand(['serve', '--json'], dataDir, { PORT: '0', ...environment })
  running.push(command)
  return command
}

async function ready(command: RunningCommand): Promise<string> {
  await until('serving', () => {
    if (command.process.exitCode !== null) throw new Error(command.stderr())
    return command.stdout().includes('}')
  })
  return JSON.parse(command.stdout()).address
}

async function health(address: string): Promise<{ ok: boolean }> {
  const response = await fetch(`${address}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: '{ health { ok } }' }),
  })
  return (await response.json()).data.health
}

const healthy = (address: string) => until('health', async () => (await health(address)).ok)
const pidOf = (what: RegExp) => processesOf(dataDir).find(({ command }) => what.test(command))?.pid ?? 0
const roles = { API: /serve --api-only/, worker: /main\.js worker/, PostgreSQL: /-D \S+postgres / }

afterEach(async () => {
  for (const command of running.splice(0)) {
    command.process.kill('SIGINT')
    await command.ended
  }
})
afterAll(async () => {
  await runCommand(['reset', '--yes'], dataDir)
  rmSync(folder, { recursive: true, force: true })
})

describe('kvscope serve', () => {
  it('serves until Ctrl-C, exits 130 within ten seconds and leaves no process', async () => {
    const command = serve()
    const address = await ready(command)
    await healthy(address)
    const asked = Date.now()
    command.process.kill('SIGINT')
    expect(await command.ended).toMatchObject({ code: 130 })
    expect(Date.now() - asked).toBeLessThan(10_000)
    expect(processesOf(dataDir)).toEqual([])
  })

  it('brings a killed API, worker and PostgreSQL back, at the same address', async () => {
    const command = serve()
    const address = await ready(command)
    for (const [name, role] of Object.entries(roles)) {
      const pid = pidOf(role)
      expect(pid, name).toBeGreaterThan(0)
      process.kill(pid, 'SIGKILL')
      await until(`another ${name}`, () => ![0, pid].includes(pidOf(role)))
      await healthy(address)
      await until(`word of the ${name}`, () => new RegExp(`${name}( process)? is back`).test(command.stderr()))
    }
  })

  it('refuses a second owner of the data folder, naming pid and address, and lets short commands in', async () => {
    const command = serve()
    const address = await ready(command)
    // The port of the first, as with the default settings, and any other.
    for (const port of [new URL(address).port, '0']) {
      const second = await runCommand(['serve'], dataDir, { PORT: port })
      expect(second).toMatchObject({ code: 1 })
      expect(second.stderr).toContain('error DATA_DIR_IN_USE: ')
      expect(second.stderr).toContain(`process ${command.process.pid}, which serves ${address}`)
    }
    expect(await runCommand(['runs', '--json'], dataDir)).toMatchObject({ code: 0, stdout: '[]\n' })
    await healthy(address)
  })

  it('says that a port is taken before it starts anything', async () => {
    const holder = createServer()
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
    const address = holder.address()
    const port = typeof address === 'object' ? String(address?.port) : ''
    const refused = await runCommand(['serve'], dataDir, { PORT: port })
    holder.close()
    expect(refused).toMatchObject({ code: 1 })
    expect(refused.stderr).toContain(`error PORT_IN_USE: Port ${port} of 127.0.0.1 is taken`)
    expect(processesOf(dataDir)).toEqual([])
  })

  it('takes its API and worker along when it is killed, and finds its PostgreSQL again', async () => {
    const command = serve()
    await ready(command)
    const [api, worker, postgres] = [pidOf(roles.API), pidOf(roles.worker), pidOf(roles.PostgreSQL)]
    command.process.kill('SIGKILL')
    await command.ended
    await until('the end of API and worker', () => !isAlive(api) && !isAlive(worker), 10_000)
    expect(isAlive(postgres)).toBe(true)
    await healthy(await ready(serve()))
    expect(pidOf(roles.PostgreSQL)).toBe(postgres)
  })

  it.each([0, 300, 700, 1200, 1800, 2600, 3600])(
    'leaves no process after Ctrl-C %d ms into its start',
    async (delay) => {
      const command = serve()
      await until('its own start', () => processesOf(dataDir).length > 0)
      await new Promise((resolve) => setTimeout(resolve, delay))
      command.process.kill('SIGINT')
      const { code } = await command.ended
      // Before Node runs our code the signal ends the process by itself.
      expect([130, null]).toContain(code)
      expect(processesOf(dataDir)).toEqual([])
    },
  )
})
