/** A wait that ends when the alarm rings, or after a while. Once set, a ring before the wait is not forgotten. */
export interface Alarm {
  set(): void
  ring(): void
  wait(atMostMs: number): Promise<void>
}

export function createAlarm(): Alarm {
  let rung = false
  let wake: (() => void) | null = null
  return {
    set() {
      rung = false
    },
    ring() {
      rung = true
      wake?.()
    },
    async wait(atMostMs) {
      if (rung) return
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, atMostMs)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      wake = null
    },
  }
}
