import { existsSync, readFileSync } from 'node:fs'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ModelConfig } from '../../../src/architecture/model-config.ts'
import { findPreset } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import type { Checkpoint } from '../../../src/checkpoints/checkpoint.ts'
import { streamText } from '../../../src/models/text-stream.ts'
import { loadTokenizer } from '../../../src/models/tokenizer.ts'

const stories = resolve(import.meta.dirname, '../../../../shared/models/stories260K')

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvscope-tokenizer-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const checkpointIn = (directory: string, synthetic: boolean): Checkpoint => ({
  directory,
  config: {},
  tensors: new Map(),
  unread: new Map(),
  fingerprint: '',
  synthetic,
})

const modelOf = (family: ModelConfig['family'], vocabularySize: number): ModelConfig => ({
  family,
  name: `a ${family}`,
  layers: 1,
  hiddenSize: 8,
  intermediateSize: 16,
  heads: 2,
  headDim: 4,
  attention: [],
  vocabularySize,
  contextLength: 64,
  tiedEmbeddings: true,
  normEpsilon: 1e-5,
  initializerRange: 0.02,
  activation: 'gelu_new',
  ropeTheta: null,
  raw: {},
})

const syntheticGpt2 = () => loadTokenizer(checkpointIn(folder, true), modelOf('gpt2', 50_257))

describe("GPT-2's encoding for synthetic weights", () => {
  it("finds nine tokens in the lecture's prompt", async () => {
    const tokenizer = await syntheticGpt2()
    const ids = tokenizer.encode('the quick brown fox jumps over the lazy dog')
    expect(ids).toEqual([1169, 2068, 7586, 21831, 18045, 625, 262, 16931, 3290])
    expect(tokenizer.decode(ids)).toBe('the quick brown fox jumps over the lazy dog')
  })

  it('takes a literal end-of-text as the token and leaves it out of the text', async () => {
    const tokenizer = await syntheticGpt2()
    expect(tokenizer.encode('a<|endoftext|>b')).toEqual([64, 50_256, 65])
    expect(tokenizer.decode([64, 50_256, 65])).toBe('ab')
  })

  it('gives back any text it has encoded', async () => {
    const tokenizer = await syntheticGpt2()
    for (const text of ['', ' ', 'naïve café\n\n  two  spaces ', '漢字と仮名', '👩‍👩‍👧 and 🇨🇭', 'tab\tand\r\n']) {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text)
    }
  })

  it('refuses a word so long that merging it would take minutes', async () => {
    const tokenizer = await syntheticGpt2()
    expect(() => tokenizer.encode('a'.repeat(60_000))).toThrow(
      expect.objectContaining({ code: 'LIMIT_EXCEEDED', message: expect.stringContaining('60000 bytes') }),
    )
  })

  it('says what to do where the vocabulary is smaller than the encoding', async () => {
    await expect(loadTokenizer(checkpointIn(folder, true), modelOf('gpt2', 1000))).rejects.toMatchObject({
      code: 'CONFIG_UNSUPPORTED',
      message: expect.stringMatching(/1000 tokens.*50257/),
      hint: expect.stringContaining('promptTokens'),
    })
  })

  it("reads text for synthetic weights of falcon-rw, which was trained with GPT-2's encoding, and of no other Falcon", async () => {
    const read = (name: string) => readModelConfig(findPreset(name).config, name)
    const tokenizer = await loadTokenizer(checkpointIn(folder, true), read('falcon-rw-1b'))
    expect(tokenizer.encode('the quick brown fox jumps over the lazy dog')).toHaveLength(9)
    await expect(loadTokenizer(checkpointIn(folder, true), read('falcon-7b'))).rejects.toMatchObject({
      code: 'CONFIG_UNSUPPORTED',
    })
  })

  it('says what to do for synthetic weights of another family', async () => {
    await expect(loadTokenizer(checkpointIn(folder, true), modelOf('llama', 32_000))).rejects.toMatchObject({
      code: 'CONFIG_UNSUPPORTED',
      message: expect.stringContaining('a llama'),
      hint: expect.stringContaining('promptTokens'),
    })
  })
})

describe('a folder without a usable tokenizer', () => {
  const open = (directory: string) => loadTokenizer(checkpointIn(directory, false), modelOf('gpt2', 50_257))

  it('is named when tokenizer.json is missing', async () => {
    await expect(open(folder)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: `${folder} has no tokenizer.json`,
      hint: expect.stringContaining('save_pretrained'),
    })
  })

  it('is named when tokenizer.json is damaged', async () => {
    const damaged = await mkdtemp(join(folder, 'damaged-'))
    await writeFile(join(damaged, 'tokenizer.json'), '{"model": ')
    await writeFile(join(damaged, 'tokenizer_config.json'), '{}')
    await expect(open(damaged)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining(damaged),
    })
  })

  it('is named when tokenizer_config.json is missing', async () => {
    const half = await mkdtemp(join(folder, 'half-'))
    await writeFile(join(half, 'tokenizer.json'), '{}')
    await expect(open(half)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining('tokenizer_config.json'),
    })
  })
})

// The checkpoint lies beside the repository; where it does not, these show up as skipped.
describe.skipIf(!existsSync(stories))('the tokenizer of stories260K', () => {
  const expected = (name: string) => JSON.parse(readFileSync(join(stories, 'expected', name), 'utf8'))
  const open = () => loadTokenizer(checkpointIn(stories, false), modelOf('llama', 512))

  it.each(['greedy-fox-32.json', 'greedy-200.json'])('encodes and decodes as %s has it, BOS first', async (name) => {
    const { prompt, prompt_token_ids, new_token_ids, text } = expected(name)
    const tokenizer = await open()
    expect(tokenizer.encode(prompt)).toEqual(prompt_token_ids)
    expect(tokenizer.decode([...prompt_token_ids, ...new_token_ids])).toBe(text)
  })

  it('encodes the prompt of attention.json', async () => {
    const tokenizer = await open()
    expect(tokenizer.encode('Once upon a time there was a little girl')).toEqual(expected('attention.json').token_ids)
  })

  it('streams a continuation with the space that decoding it alone would drop', async () => {
    const { prompt_token_ids, new_token_ids, new_text } = expected('greedy-fox-32.json')
    const stream = streamText(await open(), prompt_token_ids)
    const pieces = new_token_ids.map((id: number) => stream.push(id))
    expect(pieces.join('') + stream.end()).toBe(new_text)
    expect(pieces.filter(Boolean).length).toBeGreaterThan(25)
  })

  it('streams characters that are spelled in bytes', async () => {
    const tokenizer = await open()
    const text = 'Lily saw 漢字 and a 🦊.'
    const [bos = 0, ...ids] = tokenizer.encode(text)
    const stream = streamText(tokenizer, [bos])
    const pieces = ids.map((id) => stream.push(id))
    expect(pieces.join('')).not.toContain('\uFFFD')
    expect((pieces.join('') + stream.end()).trimStart()).toBe(text)
  })

  it('refuses a token that the model has no row for', async () => {
    const tokenizer = await loadTokenizer(checkpointIn(stories, false), modelOf('llama', 400))
    expect(() => tokenizer.encode('The quick brown fox')).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT_INVALID', message: expect.stringContaining('400 tokens') }),
    )
  })

  it('is refused when its tokenizer.json is a link that leads out of the folder', async () => {
    const { symlink } = await import('node:fs/promises')
    const linked = await mkdtemp(join(folder, 'linked-'))
    await cp(join(stories, 'tokenizer_config.json'), join(linked, 'tokenizer_config.json'))
    await symlink(join(stories, 'tokenizer.json'), join(linked, 'tokenizer.json'))
    await expect(loadTokenizer(checkpointIn(linked, false), modelOf('llama', 512))).rejects.toMatchObject({
      code: 'PATH_FORBIDDEN',
    })
  })
})

describe('streamText', () => {
  it('shows no half character and loses none', async () => {
    const tokenizer = await syntheticGpt2()
    const text = 'Grüße an 漢字, 👩‍👩‍👧 and 🇨🇭!'
    const stream = streamText(tokenizer)
    const pieces = tokenizer.encode(text).map((id) => stream.push(id))
    expect(pieces.join('')).not.toContain('\uFFFD')
    expect(pieces.join('') + stream.end()).toBe(text)
  })

  it('completes a character that the prompt began', async () => {
    const tokenizer = await syntheticGpt2()
    const [first = 0, ...rest] = tokenizer.encode('😀')
    expect(rest.length).toBeGreaterThan(0)
    const stream = streamText(tokenizer, [...tokenizer.encode('smile '), first])
    expect(rest.map((id) => stream.push(id)).join('') + stream.end()).toBe('😀')
  })

  it('shows a broken sequence as U+FFFD at the end, or once it is sure to be broken', async () => {
    const tokenizer = await syntheticGpt2()
    const [half = 0] = tokenizer.encode('😀')
    const stream = streamText(tokenizer)
    expect(stream.push(half)).toBe('')
    expect(stream.push(tokenizer.encode(' dog')[0] ?? 0)).toBe('\uFFFD dog')
    expect(stream.push(half)).toBe('')
    expect(stream.end()).toBe('\uFFFD')

    const endless = streamText(tokenizer)
    const pieces = Array.from({ length: 20 }, () => endless.push(half)).join('')
    expect(pieces.length).toBeGreaterThanOrEqual(17)
    expect(pieces + endless.end()).toBe(tokenizer.decode(Array.from({ length: 20 }, () => half)))
  })
})
