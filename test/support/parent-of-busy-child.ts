import { fork } from 'node:child_process'
import { compiledFile } from '../../src/package-folder.ts'

/** Starts a busy child and prints its pid once that has begun to be busy. */
const [, , work = ''] = process.argv
const entry = compiledFile('test/support/busy-child.ts')
const child = fork(entry, [String(process.pid), work])
child.once('message', () => process.stdout.write(`${child.pid}\n`))
