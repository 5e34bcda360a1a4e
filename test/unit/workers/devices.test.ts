import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Device } from '../../../src/jobs/glossary.ts'
import { probeDevices } from '../../../src/workers/devices.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvscope-devices-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** A probing process like the worker's, whose `drivers` do as they are told. */
async function driversThat(drivers: Record<string, string>): Promise<string> {
  const entry = join(await mkdtemp(join(folder, 'probe-')), 'probe.mjs')
  const script = `
    const say = (line) => process.stdout.write(JSON.stringify(line) + '\\n')
    const skipped = process.argv.slice(3)
    const drivers = { ${Object.entries(drivers).map(([name, body]) => `${name}: async () => { ${body} }`)} }
    process.stdout.write('a driver greets the world\\n')
    for (const provider of Object.keys(drivers)) {
      if (skipped.includes(provider)) continue
      say({ provider, begun: true })
      say({ provider, refused: (await drivers[provider]()) ?? null })
    }
    say({ done: true })
  `
  await writeFile(entry, script)
  return entry
}

async function probe(entry: string, patienceMs = 20_000): Promise<{ offered: Device[]; refused: [Device, string][] }> {
  const refused: [Device, string][] = []
  const offered = await probeDevices((device, reason) => refused.push([device, reason]), { entry, patienceMs })
  return { offered, refused }
}

describe('probeDevices', () => {
  it('offers this machine its CPU', async () => {
    const refused = new Map<Device, string>()
    const offered = await probeDevices((device, reason) => refused.set(device, reason))
    expect(offered).toContain('CPU')
    for (const device of offered) expect(refused.has(device)).toBe(false)
    for (const reason of refused.values()) expect(reason).not.toBe('')
  })

  it('offers what computes rightly and says why the rest is refused', async () => {
    const entry = await driversThat({ cpu: '', cuda: 'return "no such library"', dml: '' })
    expect(await probe(entry)).toEqual({ offered: ['CPU', 'DIRECTML'], refused: [['CUDA', 'no such library']] })
  })

  it('goes on with the next device after a driver has crashed', async () => {
    const entry = await driversThat({
      cpu: '',
      cuda: 'process.kill(process.pid, "SIGSEGV"); await new Promise((resolve) => setTimeout(resolve, 60_000))',
      webgpu: 'process.stderr.write("the device was lost\\n"); process.exit(7)',
      coreml: '',
    })
    const { offered, refused } = await probe(entry)
    expect(offered).toEqual(['CPU', 'COREML'])
    expect(refused).toEqual([
      ['CUDA', expect.stringContaining('SIGSEGV')],
      ['WEBGPU', expect.stringMatching(/code 7.*the device was lost/)],
    ])
  })

  it('gives up on a driver that hangs', async () => {
    const entry = await driversThat({ cpu: '', webgpu: 'for (;;) {}', coreml: '' })
    const { offered, refused } = await probe(entry, 6000)
    expect(offered).toEqual(['CPU', 'COREML'])
    expect(refused).toEqual([['WEBGPU', expect.stringContaining('said nothing for 6 s')]])
  })

  it('offers nothing where the probe cannot even start, and says why', async () => {
    const entry = join(folder, 'broken.mjs')
    await writeFile(entry, 'throw new Error("no binding for this machine")')
    expect(await probe(entry)).toEqual({
      offered: [],
      refused: [['CPU', expect.stringMatching(/code 1.*no binding for this machine/)]],
    })
  })
})
