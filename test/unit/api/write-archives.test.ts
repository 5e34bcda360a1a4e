import { describe, expect, it } from 'vitest'
import { createNamer, type ExportedArray, npyFile } from '../../../src/api/exports/exported-array.ts'
import { writeNpz } from '../../../src/api/exports/write-npz.ts'
import { writeSafetensors } from '../../../src/api/exports/write-safetensors.ts'
import { encodeHalves } from '../../../src/render/half-float.ts'
import { littleEndianBytes, type NpyArray } from '../../../src/render/npy.ts'
import { readNpyFile } from '../../support/read-npy.ts'
import { readZip } from '../../support/read-zip.ts'

function array(name: string, dtype: ExportedArray['dtype'], shape: number[], values: NpyArray): ExportedArray {
  return { name, dtype, shape, axes: shape.map(() => 'axis'), bytes: () => [littleEndianBytes(values)] }
}

async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return Buffer.concat(all)
}

const halves = array('h', 'float16', [2, 3], encodeHalves(Float32Array.of(0, 0.5, -1, 2 ** -24, 65_504, Number.NaN)))
const doubles = array('d', 'float64', [2], Float64Array.of(0.1, 1e300))
const whole = array('i', 'int64', [3], BigInt64Array.of(1n, -2n, 2n ** 40n))

describe('a .npy file', () => {
  it.each([
    [
      halves,
      'k05VTVBZAQB2AHsnZGVzY3InOiAnPGYyJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsIDMpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAA4ALwBAP97AH4=',
    ],
    [
      doubles,
      'k05VTVBZAQB2AHsnZGVzY3InOiAnPGY4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsKSwgfSAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAqamZmZmZm5P5x1AIg85Dd+',
    ],
    [
      whole,
      'k05VTVBZAQB2AHsnZGVzY3InOiAnPGk4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDMsKSwgfSAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoBAAAAAAAAAP7/////////AAAAAAABAAA=',
    ],
  ])('is byte for byte what numpy.save writes: $dtype', async (of, numpy) => {
    expect((await collect(npyFile(of))).toString('base64')).toBe(numpy)
  })
})

describe('an .npz archive', () => {
  it('is as long as it says, and holds its members as they are with their checksums', async () => {
    const { length, body } = writeNpz([halves, { ...doubles, name: 'a/b@c+1' }], '{"ä":1}', new Date(0))
    const archive = await collect(body())
    expect(archive.length).toBe(length)
    const members = readZip(archive)
    expect([...members.keys()]).toEqual(['metadata.json', 'h.npy', 'a/b@c+1.npy'])
    expect(members.get('metadata.json')?.toString()).toBe('{"ä":1}')
    expect(members.get('h.npy')).toEqual(await collect(npyFile(halves)))
  })

  it('asks for an array only once those before it are taken, and for none after its reader has left', async () => {
    const asked: string[] = []
    const watched = ['a', 'b', 'c', 'd'].map((name) => ({
      ...array(name, 'float64', [100_000], new Float64Array(100_000)),
      bytes() {
        asked.push(name)
        return [new Uint8Array(800_000)]
      },
    }))
    let taken = 0
    for await (const piece of writeNpz(watched, '{}', new Date(0)).body()) {
      taken += piece.length
      if (taken > 900_000) break
    }
    expect(asked).toEqual(['a', 'b'])
  })

  it('refuses more arrays than it can name', () => {
    const many = Array.from({ length: 65_535 }, (_, index) => ({ ...doubles, name: `a${index}` }))
    expect(() => writeNpz(many, '{}', new Date(0))).toThrow('the run has 65535 arrays, and a .npz file can name 65534')
  })
})

describe('a safetensors file', () => {
  it('has wide elements first, so that each is aligned to its width', async () => {
    const { length, body } = writeSafetensors([halves, doubles, whole], { format: 'kvscope', json: '{}' })
    const file = await collect(body())
    expect(file.length).toBe(length)
    const header = 8 + Number(file.readBigUInt64LE())
    expect(JSON.parse(file.toString('utf8', 8, header))).toEqual({
      __metadata__: { format: 'kvscope', json: '{}' },
      d: { dtype: 'F64', shape: [2], data_offsets: [0, 16] },
      i: { dtype: 'I64', shape: [3], data_offsets: [16, 40] },
      h: { dtype: 'F16', shape: [2, 3], data_offsets: [40, 52] },
    })
    const data = await Promise.all([doubles, whole, halves].map(async (one) => collect(npyFile(one))))
    expect(file.subarray(header)).toEqual(Buffer.concat(data.map((npy) => readNpyFile(npy).data)))
  })
})

describe('names of arrays out of what people wrote', () => {
  it('lead to no other folder, and are never the same twice, also where capitals do not count', () => {
    const name = createNamer()
    expect(
      ['../../etc/passwd', '/abs', '..', '.hidden', 'C:\\x', 'gpt2', 'GPT2', 'gpt2', '', 'a b', 'ä'].map(name),
    ).toEqual([...['__.._etc_passwd', '_abs', '_', '_hidden', 'C__x', 'gpt2', 'GPT2-2', 'gpt2-3', '_-2', 'a_b', '_-3']])
  })
})
