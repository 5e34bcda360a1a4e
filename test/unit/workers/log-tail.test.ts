import { expect, it } from 'vitest'
import { keepTail } from '../../../src/workers/log-tail.ts'

it('keeps the last 8 KiB, from the beginning of a line', () => {
  const tail = keepTail([])
  for (let line = 0; line < 5000; line++) tail.add(`line ${line}\n`)
  const text = tail.text() ?? ''
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(8192)
  expect(text.endsWith('line 4999')).toBe(true)
  expect(text.split('\n').every((line) => /^line \d+$/.test(line))).toBe(true)
})

it('keeps everything of a child that printed little', () => {
  const tail = keepTail([])
  tail.add('only this\n')
  expect(tail.text()).toBe('only this')
})

it('has nothing to show for a silent child', () => {
  expect(keepTail([]).text()).toBeNull()
})
