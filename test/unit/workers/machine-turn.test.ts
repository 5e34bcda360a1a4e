import { expect, it } from 'vitest'
import { waitForTurn } from '../../../src/workers/machine-turn.ts'

it('hands over the lock when it comes', async () => {
  const lock = { release: async () => undefined }
  expect(await waitForTurn(async () => lock, new AbortController().signal)).toBe(lock)
})

it('stops waiting when aborted, and gives back a lock that comes too late', async () => {
  const abort = new AbortController()
  let give: (lock: { release(): Promise<void> }) => void = () => undefined
  let released = false
  const waiting = waitForTurn(() => new Promise((resolve) => (give = resolve)), abort.signal)
  abort.abort()
  expect(await waiting).toBeNull()
  give({
    release: async () => {
      released = true
    },
  })
  await new Promise((resolve) => setImmediate(resolve))
  expect(released).toBe(true)
})

it('does not ask for the lock when aborted before', async () => {
  let asked = false
  const lock = async () => {
    asked = true
    return { release: async () => undefined }
  }
  expect(await waitForTurn(lock, AbortSignal.abort())).toBeNull()
  expect(asked).toBe(false)
})
