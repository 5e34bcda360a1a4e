import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, describe, expect, it } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { lockMachine } from '../../../src/db/machine-lock.ts'
import { findRunsOfWorkers } from '../../../src/db/run-parts.ts'
import { takeRun } from '../../../src/db/runs.ts'
import { beat, databaseTime, liveWorkers, registerWorker, removeWorker } from '../../../src/db/workers.ts'
import { compiledFile } from '../../../src/package-folder.ts'
import { insertSampleRun, insertSampleWorker } from '../../support/sample-runs.ts'
import { createTestDatabase } from '../../support/test-database.ts'

const url = await createTestDatabase()
const db = connectDatabase(url)
afterAll(() => db.close())

describe('workers', () => {
  it('live while they beat, longest alive first', async () => {
    const [a, b] = [await insertSampleWorker(db), await insertSampleWorker(db)]
    const since = await databaseTime(db)
    expect(await beat(db, b)).toBe(true)
    expect((await liveWorkers(db, since)).map(({ id }) => id)).toEqual([b])
    expect((await liveWorkers(db, new Date(0))).map(({ id }) => id)).toEqual([a, b])
    await removeWorker(db, a)
    expect(await beat(db, a)).toBe(false)
  })

  it('may register again with other devices', async () => {
    const id = await insertSampleWorker(db)
    await registerWorker(db, { id, hostname: 'here', pid: 1, machineId: 'here', devices: ['CPU', 'CUDA'] })
    const row = (await liveWorkers(db, new Date(0))).find((worker) => worker.id === id)
    expect(row?.devices).toEqual(['CPU', 'CUDA'])
  })

  it('are found with the run that they are at', async () => {
    const [busy, idle] = [await insertSampleWorker(db), await insertSampleWorker(db)]
    const run = await insertSampleRun(db)
    await takeRun(db, run, busy, new Date(0))
    const found = await findRunsOfWorkers(db, [busy, idle])
    expect([...found].map(([worker, { id }]) => [worker, id])).toEqual([[busy, run]])
  })
})

describe('lockMachine', () => {
  it('lets one worker of a machine in at a time, and those of other machines beside it', async () => {
    const first = await lockMachine(url, 'machine-1')
    const other = await lockMachine(url, 'machine-2')
    let second = false
    const waiting = lockMachine(url, 'machine-1').then((lock) => {
      second = true
      return lock
    })
    await lockMachine(url, 'machine-3').then((lock) => lock.release())
    expect(second).toBe(false)
    expect(first.isHeld()).toBe(true)
    await first.release()
    expect(first.isHeld()).toBe(false)
    await (await waiting).release()
    await other.release()
  })

  it('gives up waiting when asked to', async () => {
    const held = await lockMachine(url, 'machine-4')
    const stop = new AbortController()
    const waiting = lockMachine(url, 'machine-4', { signal: stop.signal })
    stop.abort(new Error('closing'))
    await expect(waiting).rejects.toThrow('closing')
    await held.release()
    await (await lockMachine(url, 'machine-4')).release()
  })

  it('passes on at once when its holder is killed with -9', async () => {
    const module = compiledFile('src/db/machine-lock.ts')
    const program = `import { lockMachine } from ${JSON.stringify(module)}
      await lockMachine(${JSON.stringify(url)}, 'machine-5'); console.log('held'); setInterval(() => {}, 1000)`
    const holder = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(holder.stdout, 'data')
    const waiting = lockMachine(url, 'machine-5')
    holder.kill('SIGKILL')
    await (await waiting).release()
  })
})
