import { dirname } from 'node:path'
import { AutoModelForCausalLM, env, Tensor as PeerTensor, StoppingCriteria } from '@huggingface/transformers'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { now } from '../src/bench/clock.ts'
import { argmax } from '../src/models/generate.ts'
import { loadModel } from '../src/models/runner.ts'
import type { OpenedModel } from '../src/models/synthetic.ts'

/** One greedy generation, timed. */
export interface Generation {
  tokens: number[]
  /** milliseconds from the call to the first token */
  first: number
  /** milliseconds a token, over the tokens after the first */
  perToken: number
}

export interface Contestant {
  name: string
  generate(prompt: readonly number[], count: number): Promise<Generation>
  close(): Promise<void>
}

/** kvscope's own engine, with its JavaScript-owned cache. */
export async function kvscopeContestant({ checkpoint, config }: OpenedModel, threads: number): Promise<Contestant> {
  const model = await loadModel(checkpoint, config, { provider: 'cpu', threads })
  return {
    name: 'kvscope',
    async generate(prompt, count) {
      const stamps = stopwatch()
      const cache = model.createCache()
      let next = [...prompt]
      while (stamps.tokens.length < count) {
        const logits = await model.forward([next], cache)
        const token = argmax(logits.data)
        stamps.add(token)
        next = [token]
      }
      return stamps.generation()
    },
    close: () => model.close(),
  }
}

/** The same graph as transformers.js gets, in a loop that does nothing but call the runtime. */
export async function bareContestant(
  name: string,
  file: string,
  { config }: OpenedModel,
  threads: number,
): Promise<Contestant> {
  const session = await InferenceSession.create(file, sessionOptions(threads))
  const { layers, heads, headDim } = config
  const parts = Array.from({ length: layers }, (_, layer) => [`${layer}.key`, `${layer}.value`]).flat()
  return {
    name,
    async generate(prompt, count) {
      const stamps = stopwatch()
      let past: Record<string, Tensor> = Object.fromEntries(
        parts.map((part) => [
          `past_key_values.${part}`,
          new Tensor('float32', new Float32Array(0), [1, heads, 0, headDim]),
        ]),
      )
      let next: readonly number[] = prompt
      let length = 0
      while (stamps.tokens.length < count) {
        const start = length
        length += next.length
        const outputs = await session.run({
          ...past,
          input_ids: integers(next),
          position_ids: integers(next.map((_, index) => start + index)),
          attention_mask: integers(new Array<number>(length).fill(1)),
        })
        const logits = outputs.logits?.data
        if (!(logits instanceof Float32Array)) throw new Error('the graph returned no logits')
        const token = argmax(logits.subarray(-config.vocabularySize))
        stamps.add(token)
        next = [token]
        past = Object.fromEntries(
          parts.flatMap((part) => {
            const present = outputs[`present.${part}`]
            return present ? [[`past_key_values.${part}`, present]] : []
          }),
        )
      }
      return stamps.generation()
    },
    close: () => session.release(),
  }
}

/** transformers.js's own `generate`, from a folder in the layout it downloads; each token is stamped as it is chosen. */
export async function transformersContestant(name: string, folder: string, threads: number): Promise<Contestant> {
  env.allowRemoteModels = false
  env.localModelPath = dirname(folder)
  const model = await AutoModelForCausalLM.from_pretrained(folder.slice(dirname(folder).length + 1), {
    dtype: 'fp32',
    device: 'cpu',
    session_options: sessionOptions(threads),
  })
  return {
    name,
    async generate(prompt, count) {
      const stamps = stopwatch()
      await model.generate({
        inputs: peerIntegers(prompt),
        attention_mask: peerIntegers(new Array<number>(prompt.length).fill(1)),
        max_new_tokens: count,
        min_new_tokens: count,
        do_sample: false,
        stopping_criteria: new StampingCriteria(stamps.add),
      })
      return stamps.generation()
    },
    close: async () => {
      await model.dispose()
    },
  }
}

/** Asked after each token whether to stop: never, but it looks at the clock. */
class StampingCriteria extends StoppingCriteria {
  readonly add: (token: number) => void

  constructor(add: (token: number) => void) {
    super()
    this.add = add
  }

  override _call(sequences: (number | bigint)[][]): boolean[] {
    this.add(Number(sequences[0]?.at(-1)))
    return sequences.map(() => false)
  }
}

function stopwatch() {
  const start = now()
  const tokens: number[] = []
  const times: number[] = []
  return {
    tokens,
    add(token: number) {
      times.push(now())
      tokens.push(token)
    },
    generation(): Generation {
      const [first = start] = times
      const last = times.at(-1) ?? first
      return { tokens, first: first - start, perToken: (last - first) / Math.max(1, times.length - 1) }
    },
  }
}

function sessionOptions(threads: number): InferenceSession.SessionOptions {
  // As our own sessions: threads that spin after a run would slow whichever contestant comes next.
  const extra = { session: { force_spinning_stop: '1' } }
  return { executionProviders: ['cpu'], intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: 3, extra }
}

function bigints(values: readonly number[]): BigInt64Array {
  return BigInt64Array.from(values, (value) => BigInt(value))
}

function integers(values: readonly number[]): Tensor {
  return new Tensor('int64', bigints(values), [1, values.length])
}

function peerIntegers(values: readonly number[]): PeerTensor {
  return new PeerTensor('int64', bigints(values), [1, values.length])
}
