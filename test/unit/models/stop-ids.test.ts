import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Checkpoint } from '../../../src/checkpoints/checkpoint.ts'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { readStopIds } from '../../../src/models/stop-ids.ts'

const shared = process.env.KVSCOPE_SHARED_MODELS ?? resolve(import.meta.dirname, '../../../../shared/models')
const stories = join(shared, 'stories260K')

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kvscope-stop-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const checkpoint = (config: Record<string, unknown>): Checkpoint => ({
  directory,
  config,
  tensors: new Map(),
  fingerprint: '',
  synthetic: false,
})
const writeGeneration = (text: string) => writeFileSync(join(directory, 'generation_config.json'), text)

describe('the ids that end a text', () => {
  it.each([
    ['a number', 7, [7]],
    ['a list', [7, 9], [7, 9]],
    ['nothing', null, []],
    ['absent', undefined, []],
  ])('are those of config.json where it has %s', async (_, eos, ids) => {
    expect([...(await readStopIds(checkpoint({ eos_token_id: eos })))]).toEqual(ids)
  })

  it('are those of generation_config.json where both speak', async () => {
    writeGeneration('{"eos_token_id": [1, 2]}')
    expect([...(await readStopIds(checkpoint({ eos_token_id: 7 })))]).toEqual([1, 2])
  })

  it('are those of config.json where generation_config.json does not speak of them', async () => {
    writeGeneration('{"eos_token_id": null}')
    expect([...(await readStopIds(checkpoint({ eos_token_id: 7 })))]).toEqual([7])
  })

  it('are those of the text part where a model that also sees pictures says them there alone', async () => {
    const nested = { text_config: { eos_token_id: [1, 106] } }
    expect([...(await readStopIds(checkpoint(nested)))]).toEqual([1, 106])
    expect([...(await readStopIds(checkpoint({ ...nested, eos_token_id: 7 })))]).toEqual([7])
  })

  it.each([['"</s>"'], ['[1, -2]'], ['1.5'], ['{}']])('refuses %s with value and file', async (value) => {
    writeGeneration(`{"eos_token_id": ${value}}`)
    await expect(readStopIds(checkpoint({}))).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: `${join(directory, 'generation_config.json')} has eos_token_id = ${JSON.stringify(JSON.parse(value))}, which is no token id and no list of them`,
    })
  })

  it.each([
    ['{', 'is not JSON'],
    ['[]', 'is JSON but not an object'],
  ])('refuses a generation_config.json of %s', async (text, reason) => {
    writeGeneration(text)
    await expect(readStopIds(checkpoint({}))).rejects.toThrow(`generation_config.json ${reason}`)
  })

  it.skipIf(!existsSync(stories))(`are 1 and 2 in stories260K (${stories})`, async () => {
    expect([...(await readStopIds(await openCheckpoint(stories)))]).toEqual([1, 2])
  })
})
