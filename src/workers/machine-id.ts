import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'

/**
 * The same for all workers whose timings would disturb each other: on Linux the kernel's boot id, which containers of
 * one machine share while their host names differ; elsewhere the host name.
 */
export async function readMachineId(): Promise<string> {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  } catch {
    return hostname()
  }
}
