import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import { readChildEnvironment } from '../config.ts'
import type { Device } from '../jobs/glossary.ts'
import { compiledFile } from '../package-folder.ts'
import { keepTail } from './log-tail.ts'

/** Execution providers of onnxruntime by the devices of the public schema. */
const deviceOf = { cpu: 'CPU', cuda: 'CUDA', webgpu: 'WEBGPU', coreml: 'COREML', dml: 'DIRECTML' } as const

const provider = z.enum(['cpu', 'cuda', 'webgpu', 'coreml', 'dml'])
type Provider = z.infer<typeof provider>

/** What the probing process says, one line each (probe.ts). */
const line = z.union([
  z.strictObject({ provider, begun: z.literal(true) }),
  z.strictObject({ provider, refused: z.string().nullable() }),
  z.strictObject({ done: z.literal(true) }),
])

/** A device that this build of onnxruntime knows, and why this machine cannot offer it; null: it can. */
export interface ProbedDevice {
  device: Device
  refused: string | null
}

export interface ProbeOptions {
  /** the process to start; another one is for tests */
  entry?: string
  /** how long one provider may take: the first use of a GPU compiles its kernels */
  patienceMs?: number
}

const probeEntry = compiledFile('src/workers/probe.ts')

/**
 * The devices that compute rightly on this machine. They are tried in a process of their own, so that a driver that
 * crashes or hangs costs its own device and nothing else. Never throws for a driver's sake.
 * @param onRefused told of each device that onnxruntime knows and this machine cannot offer
 */
export async function probeDevices(
  onRefused?: (device: Device, reason: string) => void,
  options: ProbeOptions = {},
): Promise<Device[]> {
  const probed: ProbedDevice[] = []
  const tried: Provider[] = []
  for (;;) {
    const round = await probeRound(tried, options)
    probed.push(...round.settled.map(({ provider: name, refused }) => ({ device: deviceOf[name], refused })))
    tried.push(...round.settled.map((settled) => settled.provider))
    if (round.done) break
    // Ended with no provider in hand, the process never came as far as onnxruntime, which every device needs.
    probed.push({ device: deviceOf[round.unfinished ?? 'cpu'], refused: round.end })
    if (round.unfinished === null) break
    tried.push(round.unfinished)
  }
  for (const { device, refused } of probed) if (refused !== null) onRefused?.(device, refused)
  return probed.filter(({ refused }) => refused === null).map(({ device }) => device)
}

interface Round {
  settled: { provider: Provider; refused: string | null }[]
  /** the provider that was being tried when the process ended; null: none */
  unfinished: Provider | null
  done: boolean
  /** how the process ended, in words */
  end: string
}

/** One process that tries all providers but those tried before, until it is done or one of them ends it. */
function probeRound(
  tried: readonly Provider[],
  { entry = probeEntry, patienceMs = 30_000 }: ProbeOptions,
): Promise<Round> {
  const round: Round = { settled: [], unfinished: null, done: false, end: '' }
  const child = spawn(process.execPath, [entry, String(process.pid), ...tried], {
    env: readChildEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const tail = keepTail([child.stderr])
  let hung = false
  const giveUp = () => {
    hung = true
    child.kill('SIGKILL')
  }
  let patience = setTimeout(giveUp, patienceMs)

  const lines = createInterface({ input: child.stdout })
  lines.on('line', (text) => {
    clearTimeout(patience)
    patience = setTimeout(giveUp, patienceMs)
    const said = parseLine(text)
    if (said === null) return // a driver's own words
    if ('done' in said) {
      round.done = true
      // Nothing is left to do; a driver may hang or crash while its process ends, and that is no news.
      child.kill('SIGKILL')
    } else if ('begun' in said) {
      round.unfinished = said.provider
    } else {
      round.unfinished = null
      round.settled.push(said)
    }
  })

  return new Promise((resolve) => {
    child.once('error', () => undefined) // 'close' follows, and with nothing said no device is offered
    child.once('close', (code, signal) => {
      clearTimeout(patience)
      const how = hung
        ? `it said nothing for ${patienceMs / 1000} s`
        : `its process ended by ${signal ?? `code ${code}`}`
      round.end = `${how}${lastWords(tail.text())}`
      resolve(round)
    })
  })
}

function parseLine(text: string): z.infer<typeof line> | null {
  try {
    return line.parse(JSON.parse(text))
  } catch {
    return null
  }
}

/** The last line that speaks of an error, else the last one. */
function lastWords(text: string | null): string {
  const lines = text?.trim().split('\n') ?? []
  const last = lines.findLast((words) => /error/i.test(words)) ?? lines.at(-1)
  return last ? `: ${last}` : ''
}
