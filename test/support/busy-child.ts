import { pbkdf2Sync } from 'node:crypto'
import { dieWithParent } from '../../src/workers/parent-watch.ts'

/** A child that watches its parent and then blocks its main thread: in JavaScript, or in one endless native call. */
const [, , parent = '', work = ''] = process.argv
dieWithParent(Number(parent))
process.send?.('busy')
setImmediate(() => {
  if (work === 'native') pbkdf2Sync('password', 'salt', 2_000_000_000, 64, 'sha512')
  for (;;);
})
