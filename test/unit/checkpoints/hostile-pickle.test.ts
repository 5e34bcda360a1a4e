import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { type ArchivedFile, op, stateDict, tensorOp, zipOf } from '../../support/pytorch-archive.ts'
import { makeFolder } from './safetensors-file.ts'

async function open(file: Buffer) {
  const folder = await makeFolder()
  await writeFile(join(folder, 'config.json'), '{"model_type":"gpt2"}')
  await writeFile(join(folder, 'pytorch_model.bin'), file)
  return openCheckpoint(folder)
}

const storage: ArchivedFile = { name: 'x/data/0', bytes: Buffer.alloc(16) }
const four = { key: '0', count: 4, shape: [4], strides: [1] }
const good = stateDict([['a', tensorOp(four)]])
const withPickle = (bytes: Buffer, ...others: ArchivedFile[]) =>
  zipOf([{ name: 'x/data.pkl', bytes }, storage, ...others])
const pickled = (...parts: Buffer[]) => withPickle(Buffer.concat([op.proto(), ...parts, op.raw('.')]))
const view = (change: Partial<typeof four> & { offset?: number; storage?: Buffer }) =>
  withPickle(stateDict([['a', tensorOp({ ...four, ...change })]]))
const item = (value: Buffer) => withPickle(stateDict([['a', value]]))

describe('a hostile pytorch_model.bin', () => {
  it('opens when nothing is wrong with it, so that each refusal below has one cause', async () => {
    expect([...(await open(withPickle(good))).tensors.keys()]).toEqual(['a'])
  })

  const refused: [sentence: string, file: Buffer, message: RegExp][] = [
    [
      'a pickle that asks for os.system',
      pickled(op.global('os', 'system'), op.tuple(op.text('id')), op.raw('R')),
      /asks for "os\.system"/,
    ],
    [
      'one that asks for builtins.eval',
      pickled(op.global('builtins', 'eval'), op.tuple(op.text('1')), op.raw('R')),
      /asks for "builtins\.eval"/,
    ],
    ['one that asks for a name of torch that runs code', pickled(op.global('torch', 'load')), /asks for "torch\.load"/],
    [
      'one that asks for getattr on a known name',
      pickled(op.global('collections', 'OrderedDict.fromkeys')),
      /asks for "collections\.OrderedDict\.fromkeys"/,
    ],
    [
      'a name that is none of JavaScript either',
      pickled(op.global('torch', 'constructor')),
      /asks for "torch\.constructor"/,
    ],
    ['a global taken from the stack', pickled(op.text('os'), op.text('system'), op.raw('\x93')), /opcode 0x93/],
    ['an instance made by INST', pickled(op.raw('(ios\nsystem\n')), /opcode 0x69/],
    ['an instance made by OBJ', pickled(op.raw('(o')), /opcode 0x6f/],
    ['an instance made by NEWOBJ', pickled(op.dict(), op.raw(')\x81')), /opcode 0x81/],
    ['a global of the extension registry', pickled(op.raw('\x82\x01')), /opcode 0x82/],
    ['a protocol that torch.save does not write', withPickle(Buffer.concat([op.proto(4), op.raw('N.')])), /protocol 4/],
    [
      'a call of a storage type',
      pickled(op.global('torch', 'FloatStorage'), op.raw(')R')),
      /calls torch\.FloatStorage/,
    ],
    ['a call of what is no global', pickled(op.text('os.system'), op.raw(')R')), /calls "os\.system"/],
    [
      'a dict that is filled as it is made',
      pickled(op.global('collections', 'OrderedDict'), op.tuple(op.int(1)), op.raw('R')),
      /fills a dict/,
    ],
    [
      'a tensor made of text',
      item(Buffer.concat([op.global('torch._utils', '_rebuild_tensor_v2'), op.tuple(op.text('x')), op.raw('R')])),
      /makes a tensor of "x"/,
    ],
    [
      'a parameter made of text',
      item(Buffer.concat([op.global('torch._utils', '_rebuild_parameter'), op.tuple(op.text('x')), op.raw('R')])),
      /makes a parameter of "x"/,
    ],
    ['a state set on a tensor', item(Buffer.concat([tensorOp(four), op.raw('}b')])), /sets the state of a tensor/],
    ['a value that is no tensor', item(op.int(7)), /"a" is 7, and no tensor/],
    ['a dict inside the dict', item(op.dict()), /"a" is a dict, and no tensor/],
    ['a pickle that holds one tensor alone', pickled(tensorOp(four)), /holds a tensor, not tensors by name/],
    [
      'a name that stands twice',
      withPickle(
        stateDict([
          ['a', tensorOp(four)],
          ['a', tensorOp(four)],
        ]),
      ),
      /names "a" twice/,
    ],
    ['a name that is a number', pickled(op.dict(), op.int(1), tensorOp(four), op.raw('s')), /names an item 1/],
    ['a reference to what is no storage', pickled(op.text('storage'), op.raw('Q')), /not to a storage/],
    ['a storage of an unknown type', view({ storage: op.global('collections', 'OrderedDict') }), /not to a storage/],
    ['a storage in another folder', view({ key: '../../../etc/passwd' }), /not to a storage/],
    ['a storage that is not there', view({ key: '1' }), /data\/1, which is not there/],
    ['a storage shorter than it says', view({ count: 5 }), /data\/0 holds 16 bytes, and 5 values of F32/],
    [
      'a storage of another width',
      view({ storage: op.global('torch', 'HalfStorage') }),
      /16 bytes, and 4 values of F16/,
    ],
    ['a tensor longer than its storage', view({ shape: [5] }), /"a" \[5\] begins at value 0 of 4/],
    ['a tensor that begins beyond its storage', view({ offset: 1 }), /begins at value 1 of 4/],
    ['a tensor that begins before its storage', view({ offset: -1 }), /from -1 on/],
    [
      'sizes that multiply beyond 2^53',
      view({ shape: Array(8).fill(2 ** 20), strides: Array(8).fill(1) }),
      /does not end there/,
    ],
    ['a size below 0', view({ shape: [-4] }), /for its sizes or strides/],
    [
      'a tensor of a hundred dimensions',
      view({ shape: Array(100).fill(1), strides: Array(100).fill(1) }),
      /for its sizes or strides/,
    ],
    ['a transposed tensor', view({ shape: [2, 2], strides: [1, 2] }), /strides of \[1, 2\]/],
    ['a tensor that repeats one value', view({ strides: [0] }), /strides of \[0\]/],
    ['a tensor without strides', view({ strides: [] }), /strides of \[\]/],
    ['a pickle that ends early', withPickle(good.subarray(0, 40)), /ends inside/],
    [
      'a text longer than the pickle',
      withPickle(Buffer.concat([op.proto(), op.raw('X\xff\xff\xff\xff')])),
      /ends inside a value of 4294967295/,
    ],
    ['a pickle without end', withPickle(Buffer.concat([op.proto(), op.raw('N')])), /ends without a STOP/],
    ['a value recalled that was never remembered', pickled(op.raw('h\x07')), /recalls 7/],
    ['a value taken from an empty stack', pickled(op.raw('R')), /has not put down/],
    ['a value taken from below a mark', pickled(op.dict(), op.raw('(R')), /has not put down/],
    ['a list that was never begun', pickled(op.raw('t')), /has not begun/],
    ['items of what is no dict', pickled(op.int(1), op.raw('(u')), /sets items of 1/],
    ['a mark left over', pickled(op.dict(), op.raw('(')), /ends with 1 values/],
    [
      'a number of 200 bytes',
      pickled(Buffer.concat([op.raw('\x8a\xc8'), Buffer.alloc(200, 1)])),
      /number of 200 bytes/,
    ],
    [
      'a compressed file',
      zipOf([{ name: 'x/data.pkl', bytes: good, method: 8 }, storage]),
      /"x\/data\.pkl" is compressed \(method 8\)/,
    ],
    ['an encrypted file', zipOf([{ name: 'x/data.pkl', bytes: good, flags: 1 }, storage]), /is encrypted/],
    [
      'a file that is there twice',
      zipOf([{ name: 'x/data.pkl', bytes: good }, storage, storage]),
      /holds "x\/data\/0" twice/,
    ],
    ['two pickles', withPickle(good, { name: 'y/data.pkl', bytes: good }), /holds "x\/data\.pkl" and "y\/data\.pkl"/],
    ['an archive without a pickle', zipOf([storage]), /without data\.pkl/],
    [
      'a file that reaches into the directory',
      zipOf([
        { name: 'x/data.pkl', bytes: good },
        { ...storage, stated: { size: 5000 } },
      ]),
      /takes 5000 bytes .* beyond its directory/,
    ],
    [
      'a file that begins inside another',
      zipOf([
        { name: 'x/data.pkl', bytes: good },
        { ...storage, stated: { offset: 64 } },
      ]),
      /does not begin at byte 64/,
    ],
    [
      'a file that is another in its place',
      zipOf([
        { name: 'x/data.pkl', bytes: good },
        { ...storage, stated: { localName: 'x/data/9' } },
      ]),
      /does not begin at byte/,
    ],
    [
      'a directory that says of more files than it has',
      zipOf([{ name: 'x/data.pkl', bytes: good }, storage], { count: 3 }),
      /entry 2 of 3/,
    ],
    [
      'a directory beyond the file',
      zipOf([{ name: 'x/data.pkl', bytes: good }, storage], { offset: 1_000_000 }),
      /at byte 1000000, and the file has/,
    ],
    [
      '64-bit sizes that are promised and not there',
      zipOf([{ name: 'x/data.pkl', bytes: good }, storage], { count: 0xffff }),
      /64-bit end that it promises/,
    ],
    ['big-endian values', withPickle(good, { name: 'x/byteorder', bytes: Buffer.from('big') }), /byte order is "big"/],
    [
      'what torch wrote before 1.6',
      Buffer.from('80028a0a6cfc9c46f9206aa850192e80024de9032e', 'hex'),
      /before torch 1\.6/,
    ],
    ['an empty file', Buffer.alloc(0), /no zip archive/],
    ['anything else', Buffer.alloc(100_000, 'PK'), /no zip archive/],
  ]
  it.each(refused)('is refused for %s', async (_sentence, file, message) => {
    await expect(open(file)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringMatching(message),
    })
  })

  it('is read in time that grows with its length only, whatever it remembers and repeats', async () => {
    // Each tuple holds the one before twice: written out it would have 2^200,000 items.
    const doubled = Buffer.concat([
      op.raw(')q\x00'),
      ...Array.from({ length: 200_000 }, () => op.raw('h\x00h\x00\x86q\x00')),
    ])
    await expect(open(pickled(op.raw(')'), doubled))).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' })
  })
})
