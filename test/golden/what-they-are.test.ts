import { describe, expect, it } from 'vitest'
import { compareTensors } from '../../src/architecture/check-tensors.ts'
import { kvCacheReport } from '../../src/architecture/kv-bytes.ts'
import { describeModel } from '../../src/architecture/model-facts.ts'
import { openCheckpoint } from '../../src/checkpoints/open.ts'
import { readConfig } from '../../src/config.ts'
import { readKvHeadCopies, readSource } from '../../src/jobs/model-source.ts'
import { readAllCases } from '../support/golden.ts'

/** Checkpoints that transformers wrote, of every family: what kvscope says of them without running them. */
const folders = new Map((await readAllCases()).map(({ name, folder }) => [name, folder]))

describe('a checkpoint that transformers wrote', () => {
  it.each([...folders])('is told from its words, shapes and values alike: %s', async (_name, folder) => {
    const read = await readSource({ local: { path: folder } }, [folder], readConfig({}).hub)
    const facts = describeModel(read.config, read.shapes, await readKvHeadCopies(read, null))
    const by = (source: string) => facts.votes.filter((vote) => vote.by === source).map(({ kind }) => kind)
    expect(by('CONFIG')[0]).toBe(facts.attentionKind)
    expect(by('SHAPES')).toEqual([facts.attentionKind])
    expect(by('VALUES')).toEqual(facts.attentionKind === 'MLA' ? [] : [facts.attentionKind])
    expect(facts.warnings.map(({ code }) => code)).not.toContain('HEADS_ARE_COPIES')

    const checkpoint = await openCheckpoint(folder)
    expect(compareTensors(checkpoint, read.config)).toEqual({ faults: [], unexpected: [] })
    const values = [...checkpoint.tensors.values()].reduce((sum, { shape }) => {
      return sum + shape.reduce((product, size) => product * size, 1)
    }, 0)
    expect(facts.parameters).toBeLessThanOrEqual(values)
    const report = kvCacheReport(read.config, { contextLength: 1000 })
    expect(report.products.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(report.bytes)
  })
})
