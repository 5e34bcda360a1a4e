import { expect, it } from 'vitest'
import { firstLine, isAlive, killNow, startEntry, until } from '../../support/processes.ts'

it.each(['native', 'loop'])('ends a child within 5 s of the kill -9 of its parent, busy in a %s', async (work) => {
  const parent = startEntry('parent-of-busy-child.ts', [work])
  const child = Number(await firstLine(parent))
  expect(isAlive(child)).toBe(true)
  await killNow(parent)
  await until('the child is gone', () => !isAlive(child), 5000)
})

it('leaves a child alone while its parent lives', async () => {
  const parent = startEntry('parent-of-busy-child.ts', ['loop'])
  const child = Number(await firstLine(parent))
  await new Promise((resolve) => setTimeout(resolve, 1500))
  expect(isAlive(child)).toBe(true)
  await killNow(parent)
  await until('the child is gone', () => !isAlive(child), 5000)
})
