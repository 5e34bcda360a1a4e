import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { machineBounds } from '../../../src/bench/machine-bounds.ts'
import { openPlainProduct } from '../../../src/bench/matrix-products.ts'

let dataDir: string
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'kvscope-bounds-'))
})
afterEach(() => rm(dataDir, { recursive: true }))

const midday = Date.parse('2026-11-24T12:00:00Z')

/** Asks at a time, and counts how often anything was measured. */
function asking(busy = 2000) {
  let measured = 0
  const use = { wall: 1000, own: 2000, busy, steal: 0, processors: 2, swapped: 0, majorFaults: 0 }
  const ask = (time: number, threads = 2) =>
    machineBounds({
      dataDir,
      threads,
      time: () => time,
      meter: { start: () => undefined, stop: () => undefined, use: () => use },
      measure: async () => {
        measured += 1
        return {
          bytesPerSecond: 1e10 + measured,
          flopsPerSecond: 1e11,
          threads,
          measuredAt: new Date(time).toISOString(),
        }
      },
    })
  return { ask, measured: () => measured }
}

async function onlyFile(): Promise<string> {
  const folder = join(dataDir, 'machine-bounds')
  const names = await readdir(folder)
  expect(names).toHaveLength(1)
  return join(folder, names[0] ?? '')
}

describe('machineBounds', () => {
  it('measures once a day and number of threads', async () => {
    const { ask, measured } = asking()
    const first = await ask(midday)
    expect(await ask(midday + 23 * 3_600_000)).toEqual(first)
    expect(measured()).toBe(1)
    await ask(midday, 1)
    expect(measured()).toBe(2)
    expect((await ask(midday + 25 * 3_600_000))?.bytesPerSecond).toBe(1e10 + 3)
  })
  it('keeps nothing that was measured while others used the machine', async () => {
    const busy = asking(2900)
    expect((await busy.ask(midday))?.bytesPerSecond).toBe(1e10 + 1)
    await busy.ask(midday)
    expect(busy.measured()).toBe(2)
    await expect(readdir(join(dataDir, 'machine-bounds'))).rejects.toThrow(/ENOENT/)
  })
  it('fails no run that was measured already: probes that fail leave the bounds unknown, and a folder that cannot be written keeps none', async () => {
    const measure = () => Promise.reject(new RangeError('WebAssembly.Memory(): could not allocate memory'))
    expect(await machineBounds({ dataDir, threads: 2, measure })).toBeNull()
    await writeFile(join(dataDir, 'machine-bounds'), 'a file in the place of the folder')
    expect((await asking().ask(midday))?.threads).toBe(2)
  })
  it('measures anew where the file is cut off, of another form, or from the future, and mends it', async () => {
    const { ask, measured } = asking()
    await ask(midday)
    const file = await onlyFile()
    for (const [index, text] of [
      '{"bytesPerSec',
      '{"bytesPerSecond": -1}',
      (await readFile(file, 'utf8')).replace('2026', '2027'),
    ].entries()) {
      await writeFile(file, text)
      await ask(midday)
      expect(measured()).toBe(index + 2)
      expect(JSON.parse(await readFile(await onlyFile(), 'utf8')).threads).toBe(2)
    }
  })
})

describe('openPlainProduct', () => {
  it('counts two operations for each product of a row and a column, and the bytes of the right-hand matrix', async () => {
    const product = await openPlainProduct({ rows: 3, inner: 64, columns: 5 }, 1)
    try {
      expect(product).toMatchObject({ operations: 2 * 3 * 64 * 5, bytes: 4 * 64 * 5 })
      expect(await product.run()).toBeGreaterThan(0)
    } finally {
      await product.close()
    }
  })
})
