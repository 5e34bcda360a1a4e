import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readOomKills } from '../../../src/workers/oom-kills.ts'

let root = ''
const write = (path: string, text: string) => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kvscope-cgroup-'))
})
afterEach(() => rmSync(root, { recursive: true }))

it('reads the count of the own group under cgroup v2', async () => {
  write('proc/self/cgroup', '0::/system.slice/kvscope.service\n')
  write(
    'sys/fs/cgroup/system.slice/kvscope.service/memory.events',
    'low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n',
  )
  expect(await readOomKills(root)).toBe(2)
})

it('reads the root of the mount where a container hides the path', async () => {
  write('proc/self/cgroup', '0::/docker/0123abcd\n')
  write('sys/fs/cgroup/memory.events', 'oom 1\noom_kill 1\n')
  expect(await readOomKills(root)).toBe(1)
})

it('reads memory.oom_control under cgroup v1', async () => {
  write('proc/self/cgroup', '9:name=systemd:/\n4:cpu,memory:/jobs/7\n0::/\n')
  write('sys/fs/cgroup/memory/jobs/7/memory.oom_control', 'oom_kill_disable 0\nunder_oom 0\noom_kill 5\n')
  expect(await readOomKills(root)).toBe(5)
})

it('knows nothing where there are no control groups', async () => {
  expect(await readOomKills(root)).toBeNull()
})
