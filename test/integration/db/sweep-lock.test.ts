import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, expect, it } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { trySweepLock } from '../../../src/db/sweep-lock.ts'
import { compiledFile } from '../../../src/package-folder.ts'
import { killNow, until } from '../../support/processes.ts'
import { createTestDatabase } from '../../support/test-database.ts'

const url = await createTestDatabase()
const db = connectDatabase(url)
afterAll(() => db.close())

it('is let go of by a process that is paused while it holds it', async () => {
  const module = (path: string) => JSON.stringify(compiledFile(`src/db/${path}`))
  const program = `
    import { connectDatabase } from ${module('client.ts')}
    import { trySweepLock } from ${module('sweep-lock.ts')}
    await trySweepLock(connectDatabase(${JSON.stringify(url)}), async () => {
      console.log('held')
      await new Promise((resolve) => setTimeout(resolve, 60_000))
    }, 5000)`
  const holder = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    await once(holder.stdout, 'data')
    holder.kill('SIGSTOP')
    const had = () => trySweepLock(db, async () => undefined)
    expect(await had()).toBe(false)
    await until('the lock is free', had, 20_000)
  } finally {
    await killNow(holder)
  }
})
