import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { z } from 'zod'
import { packageFolder } from '../src/package-folder.ts'
import type { Contestant } from './contestants.ts'

export const torchAttentions = ['eager', 'sdpa'] as const

const hello = z.object({ torch: z.string(), transformers: z.string() })
const generation = z.object({ tokens: z.array(z.int()), first: z.number(), perToken: z.number() })

/**
 * transformers over torch, in a process of its own, once with each of its ways to attend; both share one copy of the weights.
 * @param python an interpreter that has torch and transformers; a development machine's, nothing that kvscope needs
 * @throws Error with what Python wrote, where it cannot load the folder
 */
export async function torchContestants(
  python: string,
  folder: string,
  threads: number,
): Promise<{ versions: string; contestants: Contestant[] }> {
  const script = join(packageFolder, 'bench', 'torch-peer.py')
  const child = spawn(python, [script, folder, String(threads)], { stdio: ['pipe', 'pipe', 'pipe'] })
  const peer = linesOf(child)
  const { torch, transformers } = hello.parse(await peer.next())
  const ended = once(child, 'exit')
  return {
    versions: `torch ${torch}, transformers ${transformers}`,
    contestants: torchAttentions.map((attention) => ({
      name: `torch, ${attention}`,
      async generate(prompt, count) {
        peer.write({ attention, prompt, count })
        return generation.parse(await peer.next())
      },
      async close() {
        child.stdin?.end()
        await ended
      },
    })),
  }
}

/** Answers in the order of the requests; what Python complains of becomes the error when it ends without one. */
function linesOf({ stdin, stdout, stderr }: ChildProcess) {
  if (!stdin || !stdout || !stderr) throw new Error('the peer has no pipes')
  const complaints = textOf(stderr)
  const lines = createInterface({ input: stdout as Readable })[Symbol.asyncIterator]()
  return {
    write: (request: object) => (stdin as Writable).write(`${JSON.stringify(request)}\n`),
    async next(): Promise<unknown> {
      const { value, done } = await lines.next()
      if (done) throw new Error(`the torch peer ended:\n${complaints()}`)
      return JSON.parse(value)
    },
  }
}

/** The end of what a stream has said so far. */
function textOf(stream: Readable): () => string {
  let text = ''
  stream.on('data', (chunk) => {
    text = `${text}${chunk}`.slice(-4000)
  })
  return () => text
}
