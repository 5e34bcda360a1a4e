import { type ProbeListener, probeProviders } from '../onnx/devices.ts'
import { dieWithParent } from './parent-watch.ts'

/**
 * The entry of the process that probes execution providers: a broken driver may end it, so it says on standard output,
 * one line of JSON each, which provider it begins with, what came of it, and at last that it is done.
 * @param parent pid of the worker
 * @param skipped providers that are not to be tried (again)
 */
async function runProbe(parent: number, skipped: readonly string[]): Promise<void> {
  dieWithParent(parent)
  const say = (line: object) => void process.stdout.write(`${JSON.stringify(line)}\n`)
  const listener: ProbeListener = {
    begun: (provider) => say({ provider, begun: true }),
    ended: (provider, refused) => say({ provider, refused }),
  }
  await probeProviders(listener, skipped)
  say({ done: true })
}

await runProbe(Number(process.argv[2]), process.argv.slice(3))
