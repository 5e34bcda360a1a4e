import { describe, expect, it } from 'vitest'
import { describeDifference, listProviders, probeProvider, probeProviders } from '../../../src/onnx/devices.ts'
import { attentionProbe, elementwiseProbe, probeOutput } from '../../../src/onnx/probe-graph.ts'
import { openSession } from '../../../src/onnx/session.ts'

describe.each([
  ['attention', attentionProbe],
  ['elementwise', elementwiseProbe],
])('the %s probe', (_, build) => {
  it.each([true, false])('returns on the CPU what plain loops compute (FusedMatMul: %s)', async (fusedMatMul) => {
    const { model, feeds, expected } = build({ fusedMatMul })
    const session = await openSession(model.bytes, { files: [], provider: 'cpu', threads: 1 })
    const { [probeOutput]: result } = await session.run(feeds, [probeOutput])
    await session.close()
    const largest = Math.max(...expected.map(Math.abs))
    expect(largest).toBeGreaterThan(1)
    expect(result?.data.length).toBe(expected.length)
    for (const [i, value] of expected.entries()) {
      expect(Math.abs(Number(result?.data[i]) - value)).toBeLessThan(1e-5 * largest)
    }
  })

  it('is off by far more than the tolerance where one of its feeds is', async () => {
    const { model, feeds, expected } = build({ fusedMatMul: true })
    const session = await openSession(model.bytes, { files: [], provider: 'cpu', threads: 1 })
    for (const [name, feed] of Object.entries(feeds)) {
      const data = feed.data.slice()
      if (data instanceof BigInt64Array) data[data.length - 1] = 1n
      else data.reverse()
      const { [probeOutput]: result } = await session.run({ ...feeds, [name]: { ...feed, data } as typeof feed }, [
        probeOutput,
      ])
      expect(describeDifference(result?.data, expected), name).toMatch(/numbers off by up to/)
    }
    await session.close()
  })
})

describe('probeProvider', () => {
  it('finds that the CPU computes rightly', async () => {
    expect(listProviders()[0]).toBe('cpu')
    expect(await probeProvider('cpu')).toBeNull()
  })

  it('is asked about every provider that is not skipped, and told of before and after', async () => {
    const told: string[] = []
    const skipped = listProviders().filter((provider) => provider !== 'cpu')
    const usable = await probeProviders(
      {
        begun: (provider) => told.push(`begun ${provider}`),
        ended: (provider, refused) => told.push(`ended ${provider} ${refused}`),
      },
      skipped,
    )
    expect(usable).toEqual(['cpu'])
    expect(told).toEqual(['begun cpu', 'ended cpu null'])
  })

  it('says why a provider of another operating system cannot be used', async () => {
    const foreign = process.platform === 'win32' ? 'coreml' : 'dml'
    expect(listProviders()).not.toContain(foreign)
    expect(await probeProvider(foreign)).toMatch(new RegExp(foreign))
  })
})

describe('describeDifference', () => {
  const expected = Float64Array.of(100, -1, 0)

  it('passes what differs by less than a hundredth of the largest', () => {
    expect(describeDifference([99.5, -1.9, 0.9], expected)).toBeNull()
  })

  it.each([
    ['a wrong number', [100, -1, 1.1], /off by up to 1\.1/],
    ['one that is no number', [100, -1, Number.NaN], /off by up to Infinity/],
    ['an infinite one', [100, Number.NEGATIVE_INFINITY, 0], /off by up to Infinity/],
    ['too few', [100, -1], /2 numbers where 3 belong/],
    ['none', undefined, /no numbers where 3 belong/],
  ])('refuses %s', (_, found, words) => {
    expect(describeDifference(found, expected)).toMatch(words)
  })
})
