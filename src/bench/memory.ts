import { readFileSync, writeFileSync } from 'node:fs'
import { freemem } from 'node:os'
import { join } from 'node:path'

/** Memory that a new process could take before the system swaps or kills, in bytes, and what sets the bound. */
export interface AvailableMemory {
  bytes: number
  bound: 'machine' | 'control group'
}

/**
 * The least of the kernel's MemAvailable and what is left under each control group's limit on the way to the root
 * (cgroup v2 and v1). File pages of the group count as free, since the kernel drops them first. Elsewhere than on
 * Linux the system's free memory.
 * @param root the root of the file system
 */
export function availableMemory(root = '/'): AvailableMemory {
  const machine = kilobytesOf(read(join(root, 'proc/meminfo')), 'MemAvailable') ?? freemem()
  const group = Math.min(...groupFolders(root).map(memoryLeft))
  return group < machine ? { bytes: group, bound: 'control group' } : { bytes: machine, bound: 'machine' }
}

/** Resident set of this process now, in bytes. */
export function residentBytes(): number {
  return process.memoryUsage.rss()
}

/** Highest resident set since the process began or `restartPeak` was called, in bytes. */
export function peakResidentBytes(): number {
  const peak = process.platform === 'linux' ? kilobytesOf(read('/proc/self/status'), 'VmHWM') : null
  return peak ?? process.resourceUsage().maxRSS * 1024
}

/** Lets the peak start again from the present resident set, where the system can (Linux); elsewhere it goes on rising. */
export function restartPeak(): void {
  if (process.platform !== 'linux') return
  try {
    writeFileSync('/proc/self/clear_refs', '5')
  } catch {
    // A locked-down container refuses; the peak is then that of the whole run, which still bounds the series'.
  }
}

function groupFolders(root: string): string[] {
  const folders = new Set<string>()
  for (const line of (read(join(root, 'proc/self/cgroup')) ?? '').split('\n')) {
    const [, controllers = '', path = '/'] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (controllers !== '' && !controllers.split(',').includes('memory')) continue
    const mount = join(root, 'sys/fs/cgroup', controllers === '' ? '' : 'memory')
    const steps = path.split('/').filter(Boolean)
    for (let depth = 0; depth <= steps.length; depth += 1) folders.add(join(mount, ...steps.slice(0, depth)))
  }
  return [...folders]
}

function memoryLeft(folder: string): number {
  const limit = numberIn(join(folder, 'memory.max')) ?? numberIn(join(folder, 'memory.limit_in_bytes'))
  const used = numberIn(join(folder, 'memory.current')) ?? numberIn(join(folder, 'memory.usage_in_bytes'))
  if (limit === null || used === null) return Number.POSITIVE_INFINITY
  const file = /^(?:total_)?inactive_file (\d+)$/m.exec(read(join(folder, 'memory.stat')) ?? '')?.[1]
  return Math.max(0, limit - used + Number(file ?? 0))
}

function numberIn(file: string): number | null {
  const text = read(file)?.trim()
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null
}

function kilobytesOf(text: string | undefined, field: string): number | null {
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(text ?? '')?.[1]
  return kilobytes === undefined ? null : Number(kilobytes) * 1024
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
