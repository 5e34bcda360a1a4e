import { afterAll, describe, expect, it } from 'vitest'
import { overviewAddress, tileAddressTemplate } from '../../../src/api/addresses.ts'
import { cookieSecret } from '../../../src/api/files/access.ts'
import { cachingOf, refuseOtherAttempt } from '../../../src/api/files/caching.ts'
import { bytesOf, startDrawing } from '../../../src/api/files/drawing.ts'
import type { DrawingRequest } from '../../../src/api/files/drawing-thread.ts'
import { promptNote } from '../../../src/api/files/picture-notes.ts'
import type { RunRow } from '../../../src/db/rows.ts'
import { overviewAddress as overviewOfPage, tileAddress } from '../../../src/render/attention-tiles.ts'

const runOf = (status: RunRow['status'], attempt: number) => ({ id: 'run', status, attempt })

describe('the cookie with the token', () => {
  it.each([
    ['kvscope_token=abc', 'abc'],
    ['a=1; kvscope_token=abc; b=2', 'abc'],
    ['kvscope_token=a%20b%3Bc', 'a b;c'],
    ['kvscope_token=', ''],
    ['kvscope_token=%zz', null],
    ['xkvscope_token=abc', null],
    ['kvscope_token', null],
    ['', null],
    [undefined, null],
  ])('%s gives %s', (header, secret) => {
    expect(cookieSecret(header)).toBe(secret)
  })
})

describe('an answer', () => {
  it.each(['SUCCEEDED', 'FAILED', 'CANCELED'] as const)(
    'of a run that has %s may be kept by who names its attempt',
    (status) => {
      expect(cachingOf(runOf(status, 2), 2)).toMatchObject({ 'Cache-Control': 'private, max-age=31536000, immutable' })
      expect(cachingOf(runOf(status, 2), null)).toBeNull()
    },
  )

  it.each(['QUEUED', 'RUNNING'] as const)('of a run that is %s may not', (status) => {
    expect(cachingOf(runOf(status, 2), 2)).toBeNull()
  })

  it('is tagged by its attempt', () => {
    const tags = [1, 2].map((attempt) => cachingOf(runOf('FAILED', attempt), attempt)?.ETag)
    expect(tags[0]).not.toBe(tags[1])
  })

  it('of another attempt than the latest is not given', () => {
    expect(() => refuseOtherAttempt(runOf('FAILED', 2), 1)).toThrow('holds no results of attempt 1; its latest is 2')
    refuseOtherAttempt(runOf('FAILED', 2), 2)
    refuseOtherAttempt(runOf('FAILED', 2), null)
  })
})

describe('the thread that draws', () => {
  const drawing = startDrawing()
  afterAll(() => drawing.close())
  const subject = { model: 'm', kind: 'MHA', heads: 2, kvHeads: 2, synthetic: false } as const
  const distances = (values: number[][]): DrawingRequest => ({
    picture: { of: 'distances', picture: { subject, layer: 0, measure: 'distance', values } },
    format: 'svg',
    scale: 1,
  })
  const square = [
    [0, 1],
    [1, 0],
  ]
  const shapes = (rows: number) => ({ label: 'run', matrix: { rows, columns: 1, values: new Float32Array(rows) } })

  it('draws many at once, each for who asked', async () => {
    const drawn = await Promise.all([
      drawing.draw(distances(square)),
      drawing.draw({ ...distances(square), format: 'png' }),
      drawing.draw({ ...distances(square), format: 'png', scale: 2 }),
    ])
    expect(drawn.map((bytes) => Buffer.from(bytes).toString('latin1', 0, 4))).toEqual(['<svg', '\x89PNG', '\x89PNG'])
    const [, one, two] = drawn.map((bytes) => (bytes[1] === 0x50 ? Buffer.from(bytes).readUInt32BE(16) : 0))
    expect(two).toBe(2 * (one ?? 0))
  })

  it('says what was wrong, and goes on', async () => {
    const picture = {
      ...{ subject, layer: 0, head: 0, kvHead: 0, projection: 'K' as const },
      ...{ baseline: shapes(1), candidate: shapes(2) },
    }
    const wrong = drawing.draw({ picture: { of: 'difference', picture }, format: 'svg', scale: 1 })
    await expect(wrong).rejects.toThrow(RangeError)
    await expect(drawing.draw({ ...distances(square), format: 'png', scale: 99 })).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
    })
    expect(await drawing.draw(distances(square))).toBeInstanceOf(Uint8Array)
  })

  it('lets pictures wait up to 256 MB of numbers, counting what heads share once', async () => {
    const busy = startDrawing()
    const slice = (millions: number) => ({ rows: millions, columns: 1e6, values: new Float32Array(millions * 1e6) })
    const [baseline, candidate] = [
      { label: 'one', matrix: slice(4) },
      { label: 'other', matrix: slice(4) },
    ]
    const large: DrawingRequest = {
      picture: {
        of: 'difference',
        picture: { subject, layer: 0, head: 0, kvHead: 0, projection: 'K', baseline, candidate },
      },
      format: 'svg',
      scale: 1,
    }
    expect(bytesOf(large.picture)).toBe(32e6)
    const shared = { ...slice(1), kvHead: 0 }
    const heads = [0, 1].map((head) => ({ ...shared, head }))
    const quantity = { name: 'weights', projection: 'K' } as const
    expect(bytesOf({ of: 'heads', picture: { subject, layer: 0, heads, quantity } })).toBe(4e6)

    const asked = Array.from({ length: 11 }, async () => busy.draw(large))
    const settling = Promise.allSettled(asked)
    await expect(asked[10]).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    await busy.close()
    await settling
  })

  it('draws nothing that nobody waits for any more', async () => {
    const drawn = drawing.draw(distances(square))
    const left = drawing.draw({ ...distances(square), format: 'png' }, () => false)
    const next = drawing.draw(distances(square))
    await expect(left).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(await next).toEqual(await drawn)
  })

  it('keeps no endless queue, and none after it was closed', async () => {
    const busy = startDrawing()
    const asked = Array.from({ length: 40 }, async () => busy.draw(distances(square)))
    const settling = Promise.allSettled(asked)
    await expect(asked[39]).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    await busy.close()
    const settled = await settling
    expect(settled.filter(({ status }) => status === 'rejected').length).toBeGreaterThanOrEqual(7)
    expect(settled).toHaveLength(40)
  })
})

describe('a picture', () => {
  it('names its prompt, and cuts a long one', () => {
    const tokens = [
      { id: 1, text: 'a', generated: false },
      { id: 2, text: ' b', generated: true },
    ]
    expect(promptNote({ prompt: 3, text: 'a', tokens })).toBe('Prompt 3, 1 token and 1 generated: “a”')
    expect(promptNote({ prompt: 0, text: '', tokens: tokens.slice(0, 1) })).toBe('Prompt 0, 1 token: “a”')
    expect(promptNote({ prompt: 0, text: '🦊'.repeat(500), tokens })).toBe(
      `Prompt 0, 1 token and 1 generated: “${'🦊'.repeat(160)}…”`,
    )
  })
})

describe('addresses', () => {
  it('are those that the page makes', () => {
    const place = { runId: 'run', attempt: 3, prompt: 1, layer: 2, head: 4 }
    const page = tileAddress({ ...place, level: 1, row: 5, column: 6, statistic: 'MEAN' })
    const ours = tileAddressTemplate({ id: 'run', attempt: 3 }, { prompt: 1, layer: 2, head: 4, storedAs: 'F16' })
    expect(ours.replace('{level}', '1').replace('{row}', '5').replace('{column}', '6')).toBe(page)
    expect(overviewAddress({ id: 'run', attempt: 3 }, 1)).toBe(overviewOfPage({ runId: 'run', attempt: 3, prompt: 1 }))
  })
})
