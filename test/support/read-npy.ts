/** A .npy file's header as Python would read it, and its data. */
export function readNpyFile(file: Buffer): { descr: string; shape: number[]; data: Buffer } {
  if (file.toString('latin1', 0, 6) !== '\u0093NUMPY') throw new Error('no .npy file')
  const start = 10 + file.readUInt16LE(8)
  const [, descr = '', shape = ''] =
    /^\{'descr': '(.+)', 'fortran_order': False, 'shape': \((.*)\), \} *\n$/.exec(file.toString('latin1', 10, start)) ??
    []
  const sizes = shape.split(',').flatMap((size) => (size.trim() === '' ? [] : [Number(size)]))
  return { descr, shape: sizes, data: file.subarray(start) }
}
