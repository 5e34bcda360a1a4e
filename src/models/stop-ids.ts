import { join } from 'node:path'
import type { Checkpoint } from '../checkpoints/checkpoint.ts'
import { maxConfigBytes } from '../checkpoints/open.ts'
import { isRecord, quote } from '../checkpoints/quote.ts'
import { readSmallFile } from '../checkpoints/regular-file.ts'
import { fileInside } from '../checkpoints/shards.ts'
import { AppError } from '../errors.ts'

/**
 * Token ids that end a text: `eos_token_id` of the folder's generation_config.json, as transformers has it, or of
 * config.json, or its text part's, where the first is not there or says nothing. Empty where none says.
 * @throws AppError CHECKPOINT_INVALID naming the file and the value that is no token id
 */
export async function readStopIds({ directory, config }: Checkpoint): Promise<ReadonlySet<number>> {
  const path = await fileInside(directory, 'generation_config.json')
  const stated = path === null ? null : readIds((await readJson(path)).eos_token_id, path)
  const text = isRecord(config.text_config) ? config.text_config.eos_token_id : undefined
  return new Set(stated ?? readIds(config.eos_token_id ?? text, join(directory, 'config.json')) ?? [])
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  const text = (await readSmallFile(path, maxConfigBytes)).toString('utf8')
  const invalid = (reason: string, cause?: unknown): never => {
    throw new AppError('CHECKPOINT_INVALID', `${path} is ${reason}`, 'Download it again, or remove it.', cause)
  }
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    return invalid('not JSON', cause)
  }
  return isRecord(parsed) ? parsed : invalid('JSON but not an object')
}

const isId = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

/** One id or a list of them; null where the field is absent or null. */
function readIds(value: unknown, path: string): readonly number[] | null {
  if (value === undefined || value === null) return null
  const ids: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (ids.every(isId)) return ids
  throw new AppError(
    'CHECKPOINT_INVALID',
    `${path} has eos_token_id = ${quote(value)}, which is no token id and no list of them`,
    'Mend eos_token_id, or pass over it with --ignore-eos.',
  )
}
