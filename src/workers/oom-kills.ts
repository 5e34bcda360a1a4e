import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

async function read(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8')
  } catch {
    return null
  }
}

/**
 * How many processes the kernel has killed for memory in this process's control group so far: `oom_kill` of
 * memory.events (cgroup v2) or of memory.oom_control (v1). Null where no such counter can be read, as on macOS and
 * Windows.
 * @param root the root of the file system
 */
export async function readOomKills(root = '/'): Promise<number | null> {
  const groups = (await read(join(root, 'proc/self/cgroup')))?.trim().split('\n') ?? []
  for (const group of groups) {
    const [, controllers = '', path = '/'] = /^\d+:([^:]*):(.*)$/.exec(group) ?? []
    const isV2 = controllers === ''
    if (!isV2 && !controllers.split(',').includes('memory')) continue
    const [mount, name] = isV2 ? ['sys/fs/cgroup', 'memory.events'] : ['sys/fs/cgroup/memory', 'memory.oom_control']
    // In a container the path is the host's, while the mount shows the group itself as its root.
    for (const folder of [join(root, mount, path), join(root, mount)]) {
      const count = /^oom_kill (\d+)$/m.exec((await read(join(folder, name))) ?? '')?.[1]
      if (count !== undefined) return Number(count)
    }
  }
  return null
}
