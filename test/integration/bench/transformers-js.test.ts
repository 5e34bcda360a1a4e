import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { OpenedSubject } from '../../../src/bench/result.ts'
import { runBenchmark } from '../../../src/bench/run-benchmark.ts'
import { benchmarkSpec } from '../../../src/jobs/spec.ts'
import type { MeasuredSeries } from '../../../src/stats/measured-series.ts'
import { writeExportedCheckpoint } from '../../support/exported-checkpoint.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kvscope-peer-bench-'))
  await writeExportedCheckpoint(join(root, 'tiny'))
})
afterAll(() => rm(root, { recursive: true }))

async function run(fields: object) {
  const seen = { subjects: [] as OpenedSubject[], series: [] as MeasuredSeries[] }
  const spec = benchmarkSpec.parse({ kind: 'BENCHMARK', version: 1, blocks: 3, ...fields })
  const sink = {
    progress: () => undefined,
    subjects: (rows: OpenedSubject[]) => void seen.subjects.push(...rows),
    series: (rows: MeasuredSeries[]) => void seen.series.push(...rows),
  }
  await runBenchmark(spec, { dataDir: join(root, 'data'), modelRoots: [root] }, sink)
  return seen
}

const source = (name: string) => ({ local: { path: join(root, name) } })
const peer = (name: string) => ({ source: source(name), runtime: 'TRANSFORMERS_JS', threads: 1 })

describe('a benchmark of both runtimes', () => {
  it('times one folder in both, interleaved, with the same K/V bytes and each with its own fingerprint', async () => {
    const { subjects, series } = await run({
      subjects: [{ source: source('tiny'), threads: 1 }, peer('tiny')],
      prompt: 'the quick brown fox',
      tests: [{ promptTokens: 16 }, { generatedTokens: 4, depth: 20 }, { generatedTokens: 2, depth: 5, batch: 3 }],
    })
    expect(subjects.map(({ dtype, computeDtype }) => [dtype, computeDtype])).toEqual([
      ['F32', 'F32'],
      ['F32', 'F32'],
    ])
    expect(subjects[0]?.fingerprint).not.toBe(subjects[1]?.fingerprint)
    const phases = (subject: number) =>
      series.filter(({ subjectIndex }) => subjectIndex === subject).map(({ phase, test }) => `${phase} ${test}`.trim())
    expect(phases(1)).toEqual(['LOAD', 'COLD', 'FORWARD', 'PREFILL pp16', 'DECODE tg4 @ d20', 'DECODE tg2 @ d5 x3'])
    expect(phases(1)).toEqual(phases(0))
    const decodes = series.filter(({ phase }) => phase === 'DECODE')
    const bytes = (test: string) => decodes.filter((one) => one.test === test).map(({ kvCacheBytes }) => kvCacheBytes)
    expect(bytes('tg4 @ d20')).toEqual([2 * 2 * 32 * 4 * 23, 2 * 2 * 32 * 4 * 23])
    expect(bytes('tg2 @ d5 x3')).toEqual([3 * 2 * 2 * 32 * 4 * 6, 3 * 2 * 2 * 32 * 4 * 6])
    for (const one of decodes) expect(one.kvCacheBytes).toBe(one.kvCacheBytesPredicted)
  })

  it('takes the export of the element type that is asked for', async () => {
    await writeExportedCheckpoint(join(root, 'both'))
    await expect(run({ subjects: [{ ...peer('both'), dtype: 'F16' }] })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringMatching(/both\/onnx holds none of model_fp16.onnx, decoder_model_merged_fp16.onnx$/),
      hint: expect.stringContaining('optimum-cli export onnx'),
    })
    await expect(run({ subjects: [{ ...peer('both'), dtype: 'BF16' }] })).rejects.toMatchObject({
      code: 'CONFIG_UNSUPPORTED',
    })
    const { subjects } = await run({ subjects: [{ ...peer('both'), dtype: 'F32' }] })
    expect(subjects.map(({ dtype }) => dtype)).toEqual(['F32'])
  })

  it('runs a family that our engine cannot, from a folder without safetensors', async () => {
    const folder = join(root, 'neox')
    await mkdir(folder)
    await cp(join(root, 'tiny', 'onnx'), join(folder, 'onnx'), { recursive: true })
    const config = {
      model_type: 'gpt_neox',
      architectures: ['GPTNeoXForCausalLM'],
      num_hidden_layers: 2,
      num_attention_heads: 4,
      hidden_size: 32,
      intermediate_size: 128,
      vocab_size: 256,
      max_position_embeddings: 128,
      layer_norm_eps: 1e-5,
      hidden_act: 'gelu',
    }
    await writeFile(join(folder, 'config.json'), JSON.stringify(config))
    const { series, subjects } = await run({
      subjects: [peer('neox')],
      tests: [{ generatedTokens: 2, depth: 9 }],
    })
    expect(subjects[0]?.dtype).toBe('F32')
    const decode = series.find(({ phase }) => phase === 'DECODE')
    expect(decode?.kvCacheBytes).toBe(2 * 2 * 32 * 4 * 10)
    expect(decode?.kvCacheBytesPredicted).toBe(decode?.kvCacheBytes)
  })

  it('says what is missing where a folder has no export', async () => {
    await mkdir(join(root, 'bare'))
    await cp(join(root, 'tiny', 'config.json'), join(root, 'bare', 'config.json'))
    await expect(run({ subjects: [peer('bare')] })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringMatching(/bare has no folder onnx\//),
      hint: expect.stringContaining('optimum-cli export onnx'),
    })
  })
})

describe('a benchmark of element types', () => {
  it('runs rounded copies beside the stored weights, pooled ones too, and says what each is', async () => {
    const stored = { source: source('tiny'), threads: 1 }
    const { subjects, series } = await run({
      subjects: [stored, { ...stored, dtype: 'F16' }, { ...stored, dtype: 'BF16', convert: { kvHeads: 1 } }],
      tests: [{ generatedTokens: 2, depth: 4 }],
    })
    expect(subjects.map(({ dtype, computeDtype }) => [dtype, computeDtype])).toEqual([
      ['F32', 'F32'],
      ['F16', 'F32'],
      ['BF16', 'F32'],
    ])
    expect(new Set(subjects.map(({ fingerprint }) => fingerprint)).size).toBe(3)
    expect(series.filter(({ phase }) => phase === 'DECODE')).toHaveLength(3)
  })
})
