import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/**
 * Physical cores that this process may use, and so the default of threads: a second hyper-thread of a core adds nothing
 * to a matrix product. Where the system does not tell, every logical processor counts as a core.
 */
export function physicalCores(): number {
  const usable = Math.min(availableParallelism(), cpuQuota() ?? Number.POSITIVE_INFINITY)
  return Math.max(1, Math.min(usable, coresOfSystem() ?? usable))
}

function coresOfSystem(): number | null {
  try {
    if (process.platform === 'linux') return countCores(readFileSync('/proc/cpuinfo', 'utf8'))
    if (process.platform !== 'darwin') return null
    const text = execFileSync('/usr/sbin/sysctl', ['-n', 'hw.physicalcpu'], { encoding: 'utf8' })
    return Number.parseInt(text, 10) || null
  } catch {
    return null
  }
}

/** Distinct pairs of package and core in the text of /proc/cpuinfo; null where it has none (ARM, some containers). */
export function countCores(cpuinfo: string): number | null {
  const cores = new Set<string>()
  for (const processor of cpuinfo.split(/\n\n+/)) {
    const core = /^core id\s*:\s*(\d+)$/m.exec(processor)?.[1]
    if (core !== undefined) cores.add(`${/^physical id\s*:\s*(\d+)$/m.exec(processor)?.[1]}:${core}`)
  }
  return cores.size > 0 ? cores.size : null
}

/** Whole processors that the control group's quota allows (cgroup v2's cpu.max); null for no quota. */
function cpuQuota(): number | null {
  try {
    const [quota, period] = readFileSync('/sys/fs/cgroup/cpu.max', 'utf8').trim().split(' ').map(Number)
    return quota && period ? Math.max(1, Math.floor(quota / period)) : null
  } catch {
    return null
  }
}
