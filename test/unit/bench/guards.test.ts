import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findPreset } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { clockWarnings } from '../../../src/bench/guard-clock.ts'
import { driftWarnings } from '../../../src/bench/guard-drift.ts'
import { firstTrialWarnings } from '../../../src/bench/guard-first-trial.ts'
import { machineWarnings } from '../../../src/bench/guard-machine.ts'
import { modelWarnings } from '../../../src/bench/guard-models.ts'
import { orderWarnings } from '../../../src/bench/guard-order.ts'
import { outlierWarnings } from '../../../src/bench/guard-outliers.ts'
import { planWarnings } from '../../../src/bench/guard-plan.ts'
import {
  type MachineUse,
  openUseMeter,
  parseStat,
  parseSwapped,
  type UseCounters,
} from '../../../src/bench/machine-use.ts'
import { planTests } from '../../../src/bench/plan.ts'
import { planSubject } from '../../../src/bench/subject-config.ts'
import { seriesWarnings } from '../../../src/bench/warnings.ts'
import { benchmarkSpec } from '../../../src/jobs/spec.ts'
import { packageFile } from '../../../src/package-folder.ts'
import { type Random, seededRandom, shuffled } from '../../../src/stats/random.ts'

const codes = (warnings: { code: string }[]) => warnings.map((warning) => warning.code)
const normal = (random: Random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

/** What quiet machines make: 2 % of normal noise, or noise with a tail to the slow side. */
const noises: Record<string, (random: Random) => number> = {
  normal: (random) => 100 * (1 + 0.02 * normal(random)),
  skewed: (random) => 100 * Math.exp(0.02 * normal(random)) - Math.log(1 - random()),
}
const samplesOf = (noise: (random: Random) => number, random: Random, count: number) =>
  Array.from({ length: count }, () => noise(random))

const quietUse: MachineUse = {
  wall: 10_000,
  own: 19_500,
  busy: 19_800,
  steal: 0,
  processors: 2,
  swapped: 0,
  majorFaults: 0,
}
const decode = { phase: 'DECODE', test: 'tg8', promptTokens: 0, generatedTokens: 8, depth: 0, batch: 1 } as const

describe('the guards of a series', () => {
  it.each(Object.keys(noises).flatMap((name) => [5, 10, 20].map((blocks) => ({ name, blocks }))))(
    'speak of fewer than 1 in 100 quiet series: $name noise, $blocks blocks',
    ({ name, blocks }) => {
      const noise = noises[name]
      if (noise === undefined) throw new Error(`no noise ${name}`)
      const random = seededRandom(blocks)
      const series = 300
      let warned = 0
      for (let one = 0; one < series; one += 1) {
        const asked = { blocks, maxSeconds: null, clockResolution: 1e-4 }
        if (seriesWarnings(decode, samplesOf(noise, random, blocks), asked).length > 0) warned += 1
      }
      expect(warned / series).toBeLessThan(0.01)
    },
  )
})

describe('FIRST_TRIAL', () => {
  it('names a first trial that took a quarter longer than the others', () => {
    const samples = samplesOf(noises.normal ?? (() => 100), seededRandom(1), 10)
    samples[0] = 125
    const [warning] = firstTrialWarnings('decode tg8', samples)
    expect(warning).toMatchObject({
      code: 'FIRST_TRIAL',
      message: expect.stringMatching(/^decode tg8: the first timed trial took 125 ms, the others (9\d\.\d|10\d) ms$/),
    })
  })
  it('does not name a slow trial in another place', () => {
    const samples = samplesOf(noises.normal ?? (() => 100), seededRandom(1), 10)
    samples[4] = 125
    expect(firstTrialWarnings('decode tg8', samples)).toEqual([])
  })
})

describe('DRIFT', () => {
  it('says that trials became slower, by how much and how surely', () => {
    const random = seededRandom(2)
    const samples = Array.from({ length: 12 }, (_, block) => 100 * (1 + 0.01 * block) * (1 + 0.01 * normal(random)))
    const [warning] = driftWarnings('decode tg8', samples)
    expect(warning?.message).toMatch(/^decode tg8: trials became (9|10|11|12) % slower from the first block/)
  })
  it('says nothing of a drift too small to matter', () => {
    expect(
      driftWarnings(
        'decode tg8',
        Array.from({ length: 12 }, (_, block) => 100 + 0.01 * block),
      ),
    ).toEqual([])
  })
})

describe('ORDER_EFFECT', () => {
  /** Three subjects whose trial takes longer in the first place of a block. */
  const timed = (seed: number, costOfFirst: number) => {
    const random = seededRandom(seed)
    const samples: number[][] = [[], [], []]
    const places: number[][] = [[], [], []]
    for (let block = 0; block < 10; block += 1) {
      for (const [place, subject] of shuffled([0, 1, 2], random).entries()) {
        const factor = place === 0 ? 1 + costOfFirst : 1
        samples[subject]?.push((100 + 30 * subject) * factor * (1 + 0.02 * normal(random)))
        places[subject]?.push(place)
      }
    }
    return [samples, places] as const
  }
  it('names the place that costs more, and how much', () => {
    const [warning] = orderWarnings('decode tg8', ...timed(4, 0.1))
    expect(warning).toMatchObject({
      code: 'ORDER_EFFECT',
      message: expect.stringMatching(/trials in place 1 of a block took ([89]|1[0-3]) % longer than in place [23]/),
    })
  })
  it('is silent over a hundred tests without one', () => {
    for (let seed = 0; seed < 100; seed += 1) expect(orderWarnings('decode tg8', ...timed(seed, 0))).toEqual([])
  })
})

describe('OUTLIERS', () => {
  it('counts the samples far off, and says by which rule', () => {
    const samples = samplesOf(noises.normal ?? (() => 100), seededRandom(3), 20)
    samples[3] = 170
    samples[15] = 150
    const [warning] = outlierWarnings('decode tg8', samples)
    expect(warning?.message).toMatch(/2 of 20 samples are outliers \(170, 150 ms .* modified z-score above 6\.4\)/)
    expect(warning?.advice).toMatch(/None is dropped/)
  })
})

describe('CLOCK_COARSE', () => {
  it('speaks when a step is no small part of a trial, or wider than half the interval', () => {
    const steady = [100, 101, 102, 100, 101, 102, 100, 101, 102, 101]
    expect(clockWarnings('decode tg8', steady, 0.001)).toEqual([])
    expect(clockWarnings('decode tg8', steady, 2)[0]?.message).toMatch(/one step of the clock is 2\.0 ms, /)
    // Ten equal readings of a clock of 0.5 ms: the interval has no width, which is the clock's doing.
    expect(codes(clockWarnings('decode tg8', new Array(10).fill(100), 0.5))).toEqual(['CLOCK_COARSE'])
  })
})

describe('the guards of the machine', () => {
  it('say nothing of a process that has its processors to itself, nor of two seconds or less', () => {
    expect(machineWarnings(quietUse, true)).toEqual([])
    expect(machineWarnings({ ...quietUse, wall: 1_900, busy: 1e6, swapped: 1e6 }, true)).toEqual([])
  })
  it('name processors that others had, and how many were left to us', () => {
    const [warning] = machineWarnings({ ...quietUse, own: 13_000, busy: 19_900 }, true)
    expect(warning).toMatchObject({
      code: 'OTHER_LOAD',
      message: 'in 10.0 s of timed trials other processes had 0.69 of 2 processors, and this process had 1.30',
    })
  })
  it('go by the own processor time where the system counts no other, and not for a GPU', () => {
    const silent = { ...quietUse, own: 5_000, busy: null, steal: null, swapped: null, processors: null }
    expect(codes(machineWarnings(silent, true))).toEqual(['OTHER_LOAD'])
    expect(machineWarnings(silent, false)).toEqual([])
  })
  it('name what the hypervisor took and what was swapped', () => {
    expect(codes(machineWarnings({ ...quietUse, steal: 1_000 }, true))).toEqual(['STEAL'])
    expect(codes(machineWarnings({ ...quietUse, swapped: 5_000 }, true))).toEqual(['SWAPPING'])
    expect(codes(machineWarnings({ ...quietUse, majorFaults: 5_000 }, true))).toEqual(['SWAPPING'])
  })
})

describe('openUseMeter', () => {
  it('adds up what passed between each start and stop, and nothing beside', () => {
    const counters: UseCounters = {
      at: 0,
      own: 0,
      busy: 0,
      steal: 0,
      processors: 2,
      swapped: 0,
      majorFaults: 0,
    }
    const meter = openUseMeter(() => ({ ...counters }))
    meter.stop()
    for (const pass of [100, 200]) {
      meter.start()
      counters.at += pass
      counters.own += 2 * pass
      counters.busy = (counters.busy ?? 0) + 2.5 * pass
      counters.swapped = (counters.swapped ?? 0) + 1
      meter.stop()
      counters.busy += 1_000
    }
    expect(meter.use()).toEqual({
      wall: 300,
      own: 600,
      busy: 750,
      steal: 0,
      processors: 2,
      swapped: 2,
      majorFaults: 0,
    })
  })
  it('reads what Linux writes, and knows that it knows nothing elsewhere', () => {
    const stat = 'cpu  100 10 50 9000 70 3 2 40 0 0\ncpu0 50 5 25 4500 35 1 1 20 0 0\ncpu1 50 5 25 4500 35 2 1 20 0 0\n'
    expect(parseStat(stat)).toEqual({ busy: 1650, steal: 400, processors: 2 })
    expect(parseSwapped('pgpgin 5\npswpin 12\npswpout 30\n')).toBe(42)
    expect(parseStat(null)).toEqual({ busy: null, steal: null, processors: null })
    expect(parseSwapped(null)).toBeNull()
  })
})

describe('the guards of how it was asked', () => {
  const subject = (preset: string) => ({ source: { synthetic: { preset } } })
  const warned = async (fields: object, promptTokens: number | null = 9) => {
    const spec = benchmarkSpec.parse({ kind: 'BENCHMARK', version: 1, ...fields })
    const plans = await Promise.all(spec.subjects.map((one) => planSubject(one, [])))
    const tests = planTests(spec, spec.prompt === null ? null : promptTokens)
    const reload = spec.reload ?? spec.subjects.length > 1
    return codes([...planWarnings({ ...spec, reload }, plans, tests), ...modelWarnings(plans)])
  }

  it("flag the lecture's own method", async () => {
    const asked = {
      subjects: [subject('gpt2-medium'), subject('falcon-rw-small')],
      prompt: 'the quick brown fox',
      tests: [],
      blocks: 1,
      order: 'GIVEN',
      warmUp: false,
    }
    expect(await warned(asked)).toEqual(['ORDER_FIXED', 'NOT_WARMED_UP', 'NO_CACHE_READ', 'MODELS_DIFFER'])
  })
  it('say nothing of one model beside itself with fewer K/V heads, at a depth', async () => {
    const asked = {
      subjects: [subject('gpt2'), { ...subject('gpt2'), convert: { kvHeads: 1 } }],
      prompt: 'the quick brown fox',
      tests: [{ generatedTokens: 8, depth: 512 }],
    }
    expect(await warned(asked)).toEqual([])
    expect(await warned({ ...asked, reload: false })).toEqual(['LOADED_ONCE'])
  })
  it('see the cache that the second step of a long prompt reads', async () => {
    const asked = { subjects: [subject('gpt2'), subject('gpt2')], tests: [{ promptTokens: 512 }] }
    expect(await warned(asked)).toEqual(['NO_CACHE_READ'])
    expect(await warned({ ...asked, tests: [{ promptTokens: 513 }] })).toEqual([])
  })
  it('name everything in which two models differ', () => {
    const config = (preset: string) => readModelConfig(findPreset(preset).config, preset)
    const [warning] = modelWarnings([
      { name: 'a', config: config('gpt2-medium') },
      { name: 'b', config: config('falcon-rw-1b') },
    ])
    expect(warning?.message).toMatch(
      /^a and b differ in more than their K\/V heads: family gpt2 and falcon; hidden size 1024 and 2048; .*positions learned and ALiBi.*355 M and 1\.31e\+3 M parameters$/,
    )
  })
})

describe('docs/benchmarks.md', () => {
  it('names every warning that bench gives', () => {
    const folder = packageFile('src/bench')
    const given = readdirSync(folder).flatMap((name) =>
      [...readFileSync(join(folder, name), 'utf8').matchAll(/code: '([A-Z_]+)'/g)].map(([, code]) => code ?? ''),
    )
    expect(given.length).toBeGreaterThan(15)
    const docs = readFileSync(packageFile('docs/benchmarks.md'), 'utf8')
    expect(given.filter((code) => !docs.includes(`\`${code}\``))).toEqual([])
  })
})
