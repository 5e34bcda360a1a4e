import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { estimateResources } from '../../../src/bench/estimate.ts'
import { openSubject } from '../../../src/bench/open-subject.ts'
import { planSubject } from '../../../src/bench/subject-config.ts'
import { openExport } from '../../../src/checkpoints/onnx-export.ts'
import { benchmarkSpec, type SubjectSpec } from '../../../src/jobs/spec.ts'
import { conversionFile } from '../../../src/models/convert.ts'
import { dtypeFile } from '../../../src/models/convert-dtype.ts'
import { writeExportedCheckpoint } from '../../support/exported-checkpoint.ts'

let root: string
let source: { local: { path: string } }
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kvscope-estimate-'))
  source = { local: { path: await writeExportedCheckpoint(join(root, 'tiny')) } }
})
afterAll(() => rm(root, { recursive: true }))

const specOf = (subjects: object[], tests: object[] = []) =>
  benchmarkSpec.parse({ kind: 'BENCHMARK', version: 1, subjects, tests })
const medium = { synthetic: { preset: 'gpt2-medium' } }
const parameters = 354_823_168

describe('what a runtime and an element type take', () => {
  it("counts an export by its files' bytes, and its cache twice: at the depth, and after the last step", async () => {
    const tests = [{ generatedTokens: 8, depth: 56 }]
    const { subjects, diskBytes } = await estimateResources(
      specOf([{ source }, { source, runtime: 'TRANSFORMERS_JS' }], tests),
      [root],
    )
    const { export: exported } = await openExport(join(root, 'tiny'), null)
    expect(subjects[1]?.weights).toBe(Math.ceil(1.2 * exported.bytes))
    expect(subjects[0]?.kvCache).toBe(2 * 2 * 32 * 4 * 64)
    expect(subjects[1]?.kvCache).toBe(2 * 2 * 2 * 32 * 4 * 64)
    // The logits of all 56 tokens of the fill, the runtime's and JavaScript's, where our graph returns one row.
    expect((subjects[1]?.step ?? 0) - (subjects[0]?.step ?? 0)).toBeGreaterThan((2 * 56 - 1) * 256 * 4)
    expect(diskBytes).toBe(0)
  })

  it('counts the file of a copy in another element type, once for the subjects that share it', async () => {
    const disk = async (subjects: object[]) => (await estimateResources(specOf(subjects), [])).diskBytes
    const whole = 4 * parameters
    expect(await disk([{ source: medium, dtype: 'F32' }])).toBe(whole)
    expect(await disk([{ source: medium, dtype: 'F16' }])).toBe(whole + 2 * parameters)
    expect(await disk([{ source: medium }, { source: medium, dtype: 'F16' }, { source: medium, dtype: 'F16' }])).toBe(
      whole + 2 * parameters,
    )
    expect(
      await disk([
        { source: medium, dtype: 'BF16' },
        { source: medium, dtype: 'F16' },
      ]),
    ).toBe(whole + 4 * parameters)
  })

  it('estimates for a pooled and rounded subject what opening it then writes', async () => {
    const [subject] = specOf([{ source, convert: { kvHeads: 1 }, dtype: 'F16' }]).subjects as [SubjectSpec]
    const { diskBytes } = await estimateResources(specOf([subject]), [root])
    const places = { dataDir: join(root, 'data'), modelRoots: [root] }
    await openSubject(subject, places, () => undefined)
    const stored = await openSubject({ ...subject, convert: null, dtype: null }, places, () => undefined)
    const pooled = await openSubject({ ...subject, dtype: null }, places, () => undefined)
    const pooledFile = conversionFile(stored.checkpoint, { kvHeads: 1, method: 'MEAN' }, places.dataDir)
    const written =
      (await stat(pooledFile)).size + (await stat(dtypeFile(pooled.checkpoint, 'F16', places.dataDir))).size
    // Headers are a few kilobytes, which weigh in a model as small as this.
    expect(written - diskBytes).toBeGreaterThan(0)
    expect(written - diskBytes).toBeLessThan(8192)
  })

  it('counts 16-bit weights with the float32 copy that the runtime makes of them', async () => {
    const { subjects } = await estimateResources(specOf([{ source: medium }, { source: medium, dtype: 'F16' }]), [])
    expect((subjects[1]?.weights ?? 0) - (subjects[0]?.weights ?? 0)).toBe(2 * parameters)
  })

  it('names subjects by what they are run as', async () => {
    const spec = specOf([
      { source },
      { source, convert: { kvHeads: 2 }, dtype: 'BF16' },
      { source, runtime: 'TRANSFORMERS_JS' },
    ])
    const plans = await Promise.all(spec.subjects.map((subject) => planSubject(subject, [root])))
    expect(plans.map(({ name }) => name)).toEqual(['tiny', 'tiny-kv2-bf16', 'tiny-transformersjs'])
    expect(plans.map(({ dtype }) => dtype)).toEqual(['F32', 'BF16', 'F32'])
  })
})
