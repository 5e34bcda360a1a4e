import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { cpus, hostname, tmpdir, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { clockResolution, now } from '../../../src/bench/clock.ts'
import { finishEnvironment, readEnvironment } from '../../../src/bench/environment.ts'
import { availableMemory, peakResidentBytes, residentBytes } from '../../../src/bench/memory.ts'
import { countCores, physicalCores } from '../../../src/bench/physical-cores.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kvscope-machine-'))
})
afterEach(() => rmSync(root, { recursive: true }))

async function put(path: string, text: string) {
  const file = join(root, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
}

describe('availableMemory', () => {
  it('is MemAvailable where no control group bounds it', async () => {
    await put('proc/meminfo', 'MemTotal:  8000 kB\nMemAvailable:    5000 kB\n')
    expect(availableMemory(root)).toEqual({ bytes: 5000 * 1024, bound: 'machine' })
  })
  it("is what a control group's limit leaves, its file pages counted as free", async () => {
    await put('proc/meminfo', 'MemAvailable:    50000 kB\n')
    await put('proc/self/cgroup', '0::/job\n')
    await put('sys/fs/cgroup/job/memory.max', '10000000\n')
    await put('sys/fs/cgroup/job/memory.current', '7000000\n')
    await put('sys/fs/cgroup/job/memory.stat', 'anon 5000000\ninactive_file 2000000\n')
    expect(availableMemory(root)).toEqual({ bytes: 5_000_000, bound: 'control group' })
  })
  it("counts the limit of a group's ancestor, and ignores one without a limit", async () => {
    await put('proc/meminfo', 'MemAvailable:    50000 kB\n')
    await put('proc/self/cgroup', '0::/slice/job\n')
    await put('sys/fs/cgroup/slice/memory.max', '4000000\n')
    await put('sys/fs/cgroup/slice/memory.current', '1000000\n')
    await put('sys/fs/cgroup/slice/job/memory.max', 'max\n')
    await put('sys/fs/cgroup/slice/job/memory.current', '1000000\n')
    expect(availableMemory(root).bytes).toBe(3_000_000)
  })
  it('reads a limit of cgroup v1', async () => {
    await put('proc/meminfo', 'MemAvailable:    50000 kB\n')
    await put('proc/self/cgroup', '5:cpu:/x\n4:memory:/job\n')
    await put('sys/fs/cgroup/memory/job/memory.limit_in_bytes', '9000000\n')
    await put('sys/fs/cgroup/memory/job/memory.usage_in_bytes', '8000000\n')
    expect(availableMemory(root)).toEqual({ bytes: 1_000_000, bound: 'control group' })
  })
})

describe('peakResidentBytes', () => {
  it('is at least the present resident set and less than the machine has', () => {
    expect(peakResidentBytes()).toBeGreaterThan(residentBytes() * 0.9)
    expect(peakResidentBytes()).toBeLessThan(totalmem())
  })
})

describe('physicalCores', () => {
  it('counts a core with two hyper-threads once, and equal cores of two packages twice', () => {
    const processor = (id: number, physical: number, core: number) =>
      `processor\t: ${id}\nphysical id\t: ${physical}\ncore id\t\t: ${core}\nflags\t: fpu\n`
    expect(countCores([processor(0, 0, 0), processor(1, 0, 0), processor(2, 1, 0)].join('\n'))).toBe(2)
  })
  it('knows nothing from a text without core ids', () =>
    expect(countCores('processor\t: 0\nBogoMIPS\t: 50\n')).toBeNull())
  it('is between one and the logical processors', () => {
    expect(physicalCores()).toBeGreaterThanOrEqual(1)
    expect(physicalCores()).toBeLessThanOrEqual(cpus().length)
  })
})

describe('the clock', () => {
  it('never goes back and resolves well below a millisecond', () => {
    const first = now()
    expect(now()).toBeGreaterThanOrEqual(first)
    expect(clockResolution()).toBeGreaterThan(0)
    expect(clockResolution()).toBeLessThan(0.1)
  })
  it('finds the step of a coarse clock', () => {
    let reads = 0
    const coarse = () => {
      reads += 1
      return Math.floor(reads / 7) * 15
    }
    expect(clockResolution(coarse)).toBe(15)
  })
})

describe('the environment', () => {
  it('names this machine and the versions in use', () => {
    const environment = finishEnvironment(readEnvironment())
    expect(environment).toMatchObject({ hostname: hostname(), memoryBytes: totalmem(), node: process.versions.node })
    expect(environment.onnxruntime).toMatch(/^\d+\.\d+\.\d+/)
    expect(environment.kvscope).toMatch(/^\d+\.\d+\.\d+/)
    expect(environment.loadAtEnd).toBeGreaterThanOrEqual(0)
  })
})
