import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { headerLimits } from '../../../src/checkpoints/header-json.ts'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { AppError } from '../../../src/errors.ts'
import { f32, type HostileFile, makeCheckpoint, makeFolder } from './safetensors-file.ts'

async function open(file: HostileFile) {
  return openCheckpoint(await makeCheckpoint(file))
}

/** Two tensors of four values each, `b` beginning where it is told. */
const twoTensors = (startOfB: number) => JSON.stringify({ a: f32([4], 0), b: f32([4], startOfB) })

describe('a hostile safetensors file', () => {
  it('opens when nothing is wrong with it, so that each refusal below has one cause', async () => {
    const { tensors } = await open({ header: twoTensors(16), data: 32 })
    expect([...tensors.keys()]).toEqual(['a', 'b'])
  })

  const refused: [sentence: string, file: HostileFile, message: RegExp][] = [
    ['a header longer than the file', { header: '{}', statedLength: 1000n }, /1000 bytes long, and the file has 2/],
    ['a header longer than 100 MB', { header: '{}', statedLength: 100_000_001n }, /100000001 bytes long.*100000000/],
    ['a length of 2^64 - 1', { header: '{}', statedLength: 2n ** 64n - 1n }, /18446744073709551615 bytes long/],
    ['a header that is not JSON', { header: '{"a": ' }, /JSON cannot be read/],
    ['a header that is not UTF-8', { header: Buffer.from('{"\xff": 1}', 'latin1') }, /not valid/],
    ['a header that is a list', { header: '[1, 2]' }, /is not an object/],
    ['a header that is a number', { header: '42' }, /is not an object/],
    ['an entry that is no object', { header: '{"a": 7}' }, /tensor "a" is 7, not an object/],
    ['a name that stands twice', { header: '{"a": {}, "\\u0061": {}}' }, /names "a" twice/],
    ['a dtype that stands twice', { header: '{"a": {"dtype": "F32", "dtype": "F16"}}' }, /names "dtype" twice/],
    [
      'an unknown dtype',
      { header: '{"a": {"dtype": "F33", "shape": [1], "data_offsets": [0, 4]}}', data: 4 },
      /tensor "a" has dtype "F33"/,
    ],
    [
      'a negative size',
      { header: '{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}', data: 4 },
      /tensor "a" has shape \[-1\]/,
    ],
    [
      'a size that is no whole number',
      { header: '{"a": {"dtype": "F32", "shape": [1.5], "data_offsets": [0, 6]}}', data: 6 },
      /tensor "a" has shape \[1.5\]/,
    ],
    [
      'sizes that multiply beyond any file',
      { header: '{"a": {"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 0]}}' },
      /needs more than any file has/,
    ],
    [
      'a length that does not match shape and dtype',
      { header: '{"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 20]}}', data: 20 },
      /tensor "a" holds 20 bytes, and F32 \[2, 3\] needs 24/,
    ],
    [
      'offsets that end before they begin',
      { header: '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}', data: 4 },
      /data_offsets \[4, 0\], which end before they begin/,
    ],
    [
      'offsets that are no numbers',
      { header: '{"a": {"dtype": "F32", "shape": [1], "data_offsets": ["0", "4"]}}', data: 4 },
      /data_offsets \["0","4"\], not two whole numbers/,
    ],
    ['tensors that overlap', { header: twoTensors(12), data: 28 }, /tensor "b" begins at byte \d+, inside tensor "a"/],
    ['a hole between tensors', { header: twoTensors(20), data: 36 }, /before tensor "b", belong to no tensor/],
    ['a hole before the first tensor', { header: JSON.stringify({ a: f32([1], 8) }), data: 12 }, /before tensor "a"/],
    ['bytes after the last tensor', { header: twoTensors(16), data: 40 }, /after tensor "b", belong to no tensor/],
    ['a tensor beyond the end of the file', { header: twoTensors(16), data: 30 }, /tensor "b" ends at byte \d+, and/],
    ['metadata that is no text', { header: '{"__metadata__": {"x": 1}}' }, /__metadata__ has "x"/],
    ['metadata that is a list', { header: '{"__metadata__": []}' }, /__metadata__ is \[\], not an object/],
    ['nesting that no header needs', { header: `{"a": ${'['.repeat(5000)}${']'.repeat(5000)}}` }, /more than 3 deep/],
    [
      'more values than any header needs',
      { header: `{"a": {"shape": [${'0,'.repeat(headerLimits.commas + 1)}0]}}` },
      /more than 1500000 values/,
    ],
    [
      'more names than any checkpoint has',
      { header: `{${Array.from({ length: headerLimits.names + 1 }, (_, index) => `"${index}":0`)}}` },
      /more than 200000 names in one object/,
    ],
  ]
  it.each(refused)('refuses %s', async (_, file, message) => {
    const opened = open(file)
    await expect(opened).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID', message: expect.stringMatching(message) })
    await expect(opened).rejects.toMatchObject({ message: expect.stringContaining('model.safetensors') })
  })

  it('cuts what it repeats of the file, however long it is', async () => {
    const opened = open({ header: `{"${'x'.repeat(1_000_000)}": "${'y'.repeat(1_000_000)}"}` })
    const error = await opened.catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(AppError)
    expect(String(error).length).toBeLessThan(600)
  })

  it('takes a tensor that is named __proto__ for a tensor', async () => {
    const { tensors } = await open({ header: `{"__proto__": ${JSON.stringify(f32([1], 0))}}`, data: 4 })
    expect([...tensors.keys()]).toEqual(['__proto__'])
  })

  it('refuses a file shorter than the length of its header', async () => {
    const folder = await makeCheckpoint({ header: '{}' })
    await truncate(join(folder, 'model.safetensors'), 5)
    await expect(openCheckpoint(folder)).rejects.toThrow(/is 5 bytes long/)
  })

  it('sets dtypes aside that it cannot read, and says which', async () => {
    const header = '{"mask": {"dtype": "BOOL", "shape": [3], "data_offsets": [0, 3]}}'
    const { tensors, unread } = await open({ header, data: 3 })
    expect(tensors.size).toBe(0)
    expect(unread?.get('mask')).toMatchObject({ dtype: 'BOOL', shape: [3] })
  })
})

describe('a hostile config.json', () => {
  it.each([
    ['no JSON', '{', /config.json is not JSON/],
    ['a list', '[]', /config.json is JSON but not an object/],
  ])('is refused where it is %s', async (_, text, message) => {
    const folder = await makeCheckpoint({ header: '{}' })
    await writeFile(join(folder, 'config.json'), text)
    await expect(openCheckpoint(folder)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringMatching(message),
    })
  })

  it('is missed by name, and so is the folder', async () => {
    const folder = await makeFolder()
    await expect(openCheckpoint(folder)).rejects.toThrow(`${folder} has no config.json`)
    await expect(openCheckpoint(join(folder, 'absent'))).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' })
  })
})
