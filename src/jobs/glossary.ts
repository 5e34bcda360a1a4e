import type { Phase } from '../stats/measured-series.ts'

/**
 * The words of kvscope. One word for one idea; every name in the code, the schema and the tables obeys.
 *
 * checkpoint     a folder in Hugging Face layout (config.json, model.safetensors or shards, tokenizer.json), or
 *                *synthetic* weights made from a config and a seed
 * model source   where a subject's model comes from: `hub` (a repository and a revision, pinned to a commit), `local` (a
 *                folder under an allowed root), `synthetic` (a preset, fields of its config may be overridden), `config` (a
 *                bare config.json: sizes only, nothing to run)
 * attention kind MHA, GQA, MQA or MLA
 * KV group       the query heads that share one K/V head
 * run            one job's execution of one spec
 * spec           what a run was asked to do: versioned, canonical JSON
 * attempt        one try at a run; results carry its number, so that a lost try cannot write into its successor
 * subject        one model inside a run; a benchmark of several subjects interleaves them
 * test           one size to measure, in llama-bench's words: `pp512`, `tg128`, `pp512+tg128`, `tg128 @ d4096`
 * trial          one timed execution of one test by one subject
 * block          one trial of every subject, in a seeded random order
 * series         the raw samples of one subject, phase and test
 * phase          what a series timed: load, cold, forward, prefill, decode or combined
 * weight slice   rows x columns of one head's W_Q, W_K, W_V or W_O, with the tensor, rows and columns it came from
 * attention map  softmax probabilities [query, key] of one layer and head over one prompt
 * tile           a square of an attention map at one level of its pyramid; level 0 is the map itself
 * run event      a row (run, seq) of progress, message or status; the table is the truth, notifications only wake readers
 * worker         a process that takes runs from the queues of the devices it offers
 * execution      one attempt at work: a child process that computes and sends, and its parent that stores
 * sweep          a benchmark whose tests or subjects differ along one axis only
 * placement      the machine or the worker that a run must be taken by
 * baseline       a name that stands for a run to compare with
 * guard          a check that tells a timing's reader what may have disturbed it; its finding is a warning
 */

export const runKinds = ['BENCHMARK', 'WEIGHT_SLICES', 'ATTENTION_MAPS'] as const
export type RunKind = (typeof runKinds)[number]

export const runStatuses = ['QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELED'] as const
export type RunStatus = (typeof runStatuses)[number]
/** The statuses that a run never leaves by itself; a subscription ends after the event that carries one. */
export const finalStatuses = ['SUCCEEDED', 'FAILED', 'CANCELED'] as const satisfies readonly RunStatus[]

export const phases = ['LOAD', 'COLD', 'FORWARD', 'PREFILL', 'DECODE', 'COMBINED'] as const satisfies readonly Phase[]

export const devices = ['CPU', 'CUDA', 'WEBGPU', 'COREML', 'DIRECTML'] as const
export type Device = (typeof devices)[number]

/** Which engine runs a subject: kvscope's own graphs, or transformers.js on the export beside the weights. */
export const runtimes = ['KVSCOPE', 'TRANSFORMERS_JS'] as const

/** What a sweep varies; everything else of its tests and subjects stays. */
export const sweepAxes = ['DEPTH', 'PROMPT_TOKENS', 'BATCH', 'KV_HEADS', 'THREADS'] as const
export type SweepAxis = (typeof sweepAxes)[number]

/** Element types that weights can be read as. */
export const weightDtypes = ['F32', 'F16', 'BF16'] as const
