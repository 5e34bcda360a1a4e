import { Worker } from 'node:worker_threads'

const checkEveryMs = 500

/**
 * A thread of its own notices that the parent is gone even while the main thread sits in a native call, where neither
 * an IPC disconnect nor a timer is heard. It is plain JavaScript in a string so that it starts without a loader.
 */
const watch = `
const { workerData } = require('node:worker_threads')
setInterval(() => {
  if (process.ppid !== workerData.parent) process.kill(process.pid, 'SIGKILL')
}, workerData.checkEveryMs)
`

/**
 * Ends this process with SIGKILL within half a second of its parent's end, whatever the main thread does.
 * @param parent pid of the process that started this one
 */
export function dieWithParent(parent: number): void {
  const thread = new Worker(watch, { eval: true, execArgv: [], workerData: { parent, checkEveryMs } })
  thread.unref()
}
