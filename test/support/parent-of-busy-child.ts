import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Starts a busy child and prints its pid once that has begun to be busy. */
const [, , work = ''] = process.argv
const entry = fileURLToPath(new URL('./busy-child.ts', import.meta.url))
const child = fork(entry, [String(process.pid), work])
child.once('message', () => process.stdout.write(`${child.pid}\n`))
