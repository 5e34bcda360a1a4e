import { describe, expect, it } from 'vitest'
import { createAlarm } from '../../../src/api/alarm.ts'

const longMs = 60_000

describe('an alarm', () => {
  it('does not let a wait begin after it has rung', async () => {
    const alarm = createAlarm()
    alarm.set()
    alarm.ring()
    await alarm.wait(longMs)
  })

  it('ends a wait under way', async () => {
    const alarm = createAlarm()
    const waiting = alarm.wait(longMs)
    alarm.ring()
    await waiting
  })

  it('forgets its ring when set again, and then the wait ends by itself', async () => {
    const alarm = createAlarm()
    alarm.ring()
    alarm.set()
    let over = false
    const waiting = alarm.wait(20).then(() => {
      over = true
    })
    await Promise.resolve()
    expect(over).toBe(false)
    await waiting
  })
})
