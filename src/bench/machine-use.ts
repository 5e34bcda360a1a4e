import { readFileSync } from 'node:fs'
import { now } from './clock.ts'
import type { TrialMeter } from './measure.ts'

/** What the system has counted since it started; null where it does not tell. */
export interface UseCounters {
  /** milliseconds of a monotonic clock */
  at: number
  /** milliseconds of processors that this process has had */
  own: number
  /** the same of all processes */
  busy: number | null
  /** milliseconds that a hypervisor gave to other machines while this one wanted to run */
  steal: number | null
  processors: number | null
  /** pages swapped in and out */
  swapped: number | null
  /** pages that this process had to wait for until they were read from a disk */
  majorFaults: number
}

/** The same as passed during the timed trials together. */
export interface MachineUse extends Omit<UseCounters, 'at'> {
  /** milliseconds */
  wall: number
}

export interface UseMeter extends TrialMeter {
  use(): MachineUse
}

/** Counts only between `start` and `stop`, and adds up what each pair saw. */
export function openUseMeter(read: () => UseCounters = readUseCounters): UseMeter {
  let before: UseCounters | null = null
  let total: MachineUse = { wall: 0, own: 0, busy: 0, steal: 0, processors: null, swapped: 0, majorFaults: 0 }
  const sum = (so: number | null, from: number | null, to: number | null) =>
    so === null || from === null || to === null ? null : so + to - from
  return {
    start() {
      before = read()
    },
    stop() {
      if (before === null) return
      const after = read()
      total = {
        wall: total.wall + after.at - before.at,
        own: total.own + after.own - before.own,
        busy: sum(total.busy, before.busy, after.busy),
        steal: sum(total.steal, before.steal, after.steal),
        processors: after.processors,
        swapped: sum(total.swapped, before.swapped, after.swapped),
        majorFaults: total.majorFaults + after.majorFaults - before.majorFaults,
      }
      before = null
    },
    use: () => total,
  }
}

/** Linux counts processor time in hundredths of a second, whatever the kernel's own tick is (proc(5), USER_HZ). */
const tick = 10

/** Reads the counters now: of /proc/stat and /proc/vmstat on Linux, elsewhere this process's own alone. */
function readUseCounters(): UseCounters {
  const { user, system } = process.cpuUsage()
  return {
    at: now(),
    own: (user + system) / 1000,
    ...parseStat(readText('/proc/stat')),
    swapped: parseSwapped(readText('/proc/vmstat')),
    majorFaults: process.resourceUsage().majorPageFault,
  }
}

/** Time of all processors together from the text of /proc/stat; iowait is idle time. */
export function parseStat(text: string | null): Pick<UseCounters, 'busy' | 'steal' | 'processors'> {
  const line = /^cpu +(.*)$/m.exec(text ?? '')?.[1]
  if (text === null || line === undefined) return { busy: null, steal: null, processors: null }
  const [user = 0, nice = 0, system = 0, , , interrupts = 0, softInterrupts = 0, steal = 0] = line
    .split(' ')
    .map(Number)
  return {
    busy: (user + nice + system + interrupts + softInterrupts) * tick,
    steal: steal * tick,
    processors: text.match(/^cpu\d+ /gm)?.length ?? null,
  }
}

/** Pages swapped in and out from the text of /proc/vmstat. */
export function parseSwapped(text: string | null): number | null {
  const [inward, outward] = ['pswpin', 'pswpout'].map(
    (name) => new RegExp(`^${name} (\\d+)$`, 'm').exec(text ?? '')?.[1],
  )
  return inward === undefined || outward === undefined ? null : Number(inward) + Number(outward)
}

function readText(file: string): string | null {
  if (process.platform !== 'linux') return null
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}
