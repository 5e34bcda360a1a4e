/**
 * A WebAssembly module with one function, read(start) -> sum, that reads memory as fast as 128-bit loads can and adds
 * up what it reads. WebAssembly, because JavaScript has no vector loads: a plain loop over a typed array reaches three
 * fifths of what C does. Assembled here by hand (WebAssembly Core Specification 2.0, chapter 5), because a toolchain
 * for forty instructions would be the larger part.
 */

export interface ReaderShape {
  /** places that are read in turns, `bytesPerStream` apart */
  streams: number
  /** a multiple of 64 */
  bytesPerStream: number
  /** pages of 64 KiB of the shared memory it is instantiated with as env.memory */
  pages: number
}

/** Bytes that one stream reads in one round of the loop: four vectors, a cache line. */
const lineBytes = 64
const vectorBytes = 16

const section = { type: 1, import: 2, function: 3, export: 7, code: 10 } as const
const type = { function: 0x60, i32: 0x7f, v128: 0x7b } as const
const kind = { function: 0x00, memory: 0x02 } as const
const sharedWithMaximum = 0x03
const alignedTo16 = 4

const op = {
  loop: 0x03,
  end: 0x0b,
  branchIf: 0x0d,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  i32Const: 0x41,
  i32Add: 0x6a,
  i32LessUnsigned: 0x49,
  void: 0x40,
} as const
const vectorPrefix = 0xfd
const vector = { load: 0x00, i32x4ExtractLane: 0x1b, i32x4Add: 0xae } as const

export function assembleReader({ streams, bytesPerStream, pages }: ReaderShape): Uint8Array<ArrayBuffer> {
  if (bytesPerStream % lineBytes !== 0) throw new RangeError(`${bytesPerStream} is no multiple of ${lineBytes}`)
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d], // \0asm
    ...[0x01, 0x00, 0x00, 0x00], // version 1
    ...sized(section.type, [1, type.function, 1, type.i32, 1, type.i32]),
    ...sized(section.import, [
      1,
      ...text('env'),
      ...text('memory'),
      kind.memory,
      sharedWithMaximum,
      ...unsigned(pages),
      ...unsigned(pages),
    ]),
    ...sized(section.function, [1, 0]),
    ...sized(section.export, [1, ...text('read'), kind.function, 0]),
    ...sized(section.code, [1, ...withLength(readFunction(streams, bytesPerStream))]),
  ])
}

/**
 *   end = start + bytesPerStream
 *   do for each stream, for each vector of its line: sums[vector] += load(start + stream * bytesPerStream + vector * 16)
 *   while (start += 64) < end
 *   return the first lane of the sums, added
 */
function readFunction(streams: number, bytesPerStream: number): number[] {
  const [start, end, firstSum] = [0, 1, 2]
  const vectors = lineBytes / vectorBytes
  const sums = Array.from({ length: vectors }, (_, index) => firstSum + index)
  const loads = Array.from({ length: streams }, (_, stream) =>
    sums.flatMap((sum, index) => [
      ...[op.localGet, sum],
      ...[op.localGet, start],
      ...[vectorPrefix, vector.load, alignedTo16, ...unsigned(stream * bytesPerStream + index * vectorBytes)],
      ...[vectorPrefix, ...unsigned(vector.i32x4Add)],
      ...[op.localSet, sum],
    ]),
  ).flat()
  return [
    ...[2, 1, type.i32, vectors, type.v128], // locals
    ...[op.localGet, start, op.i32Const, ...signed(bytesPerStream), op.i32Add, op.localSet, end],
    ...[op.loop, op.void],
    ...loads,
    ...[op.localGet, start, op.i32Const, ...signed(lineBytes), op.i32Add, op.localTee, start],
    ...[op.localGet, end, op.i32LessUnsigned, op.branchIf, 0],
    op.end,
    ...sums.flatMap((sum, index) => [
      ...[op.localGet, sum, vectorPrefix, vector.i32x4ExtractLane, 0],
      ...(index > 0 ? [op.i32Add] : []),
    ]),
    op.end,
  ]
}

function sized(id: number, content: number[]): number[] {
  return [id, ...withLength(content)]
}

function withLength(content: number[]): number[] {
  return [...unsigned(content.length), ...content]
}

function text(value: string): number[] {
  return withLength([...Buffer.from(value)])
}

/** LEB128, as the format writes all its numbers. */
function unsigned(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  do {
    const low = rest % 128
    rest = Math.floor(rest / 128)
    bytes.push(rest > 0 ? low | 0x80 : low)
  } while (rest > 0)
  return bytes
}

function signed(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (;;) {
    const low = rest & 0x7f
    rest >>= 7
    const finished = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)
    bytes.push(finished ? low : low | 0x80)
    if (finished) return bytes
  }
}
