import { describe, expect, it } from 'vitest'
import type { AppError } from '../../../src/errors.ts'
import { parseSpec } from '../../../src/jobs/spec.ts'
import { subjectName } from '../../../src/jobs/spec-names.ts'

const local = { local: { path: 'gpt2' } }
const synthetic = { synthetic: { preset: 'gpt2' } }

function refusal(kind: string, subject: object): AppError {
  try {
    parseSpec({ kind, version: 1, subjects: [subject] })
  } catch (error) {
    return error as AppError
  }
  throw new Error('the spec was accepted')
}

describe('a subject that transformers.js shall run', () => {
  it('is accepted of a local folder, in any element type', () => {
    const spec = parseSpec({
      kind: 'BENCHMARK',
      version: 1,
      subjects: [{ source: local, runtime: 'TRANSFORMERS_JS', dtype: 'F16' }],
    })
    expect(spec.subjects[0]).toMatchObject({ runtime: 'TRANSFORMERS_JS', dtype: 'F16' })
  })

  it.each([
    ['source', { source: synthetic }],
    ['convert', { source: local, convert: { kvHeads: 1 } }],
  ])('is refused for its %s, with what to do', (field, subject) => {
    const error = refusal('BENCHMARK', { ...subject, runtime: 'TRANSFORMERS_JS' })
    expect(error.code).toBe('VALIDATION_FAILED')
    expect(error.message).toMatch(new RegExp(`^subjects.0.${field} is {.*runtime KVSCOPE$`))
  })

  it.each(['WEIGHT_SLICES', 'ATTENTION_MAPS'])('is refused in %s', (kind) => {
    const error = refusal(kind, { source: local, runtime: 'TRANSFORMERS_JS' })
    expect([error.code, error.message]).toEqual([
      'VALIDATION_FAILED',
      expect.stringMatching(/^subjects.0.runtime is "TRANSFORMERS_JS": heads .*take runtime KVSCOPE/),
    ])
  })
})

describe('the name of a subject', () => {
  it.each([
    ['gpt2', { convert: null, dtype: null, runtime: 'KVSCOPE' }],
    ['gpt2-kv4', { convert: { kvHeads: 4 }, dtype: null, runtime: 'KVSCOPE' }],
    ['gpt2-kv1-bf16', { convert: { kvHeads: 1 }, dtype: 'BF16', runtime: 'KVSCOPE' }],
    ['gpt2-f16-transformersjs', { convert: null, dtype: 'F16', runtime: 'TRANSFORMERS_JS' }],
  ])('is %s', (name, subject) => expect(subjectName('gpt2', subject)).toBe(name))
})
