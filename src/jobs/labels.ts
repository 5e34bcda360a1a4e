import { AppError } from '../errors.ts'
import { specLimits } from './spec.ts'

export interface Label {
  key: string
  value: string
}

const refuse = (code: 'VALIDATION_FAILED' | 'LIMIT_EXCEEDED', message: string, hint: string): never => {
  throw new AppError(code, message, hint)
}

/**
 * Checks what a client writes beside a run: labels, a note and an idempotencyKey.
 * @throws AppError LIMIT_EXCEEDED, or VALIDATION_FAILED for an empty key or a label's key given twice
 */
export function checkAnnotations({
  labels,
  note,
  idempotencyKey,
}: {
  labels?: readonly Label[]
  note?: string | null
  idempotencyKey?: string | null
}): void {
  const { labels: most, labelLength, noteLength, keyLength } = specLimits
  const keys = new Set<string>()
  if ((labels?.length ?? 0) > most) {
    refuse('LIMIT_EXCEEDED', `${labels?.length} labels were given`, `A run has at most ${most} labels.`)
  }
  for (const { key, value } of labels ?? []) {
    if (key === '') refuse('VALIDATION_FAILED', 'a label has an empty key', 'Give every label a key.')
    if (keys.has(key)) refuse('VALIDATION_FAILED', `the label ${JSON.stringify(key)} is given twice`, 'Give it once.')
    keys.add(key)
    const longest = Math.max(key.length, value.length)
    if (longest > labelLength) {
      const start = JSON.stringify(key.slice(0, 40))
      refuse('LIMIT_EXCEEDED', `the label ${start} is ${longest} characters long`, `At most ${labelLength} fit.`)
    }
  }
  if (note != null && note.length > noteLength) {
    refuse('LIMIT_EXCEEDED', `the note is ${note.length} characters long`, `At most ${noteLength} fit.`)
  }
  if (idempotencyKey === '') {
    refuse('VALIDATION_FAILED', 'the idempotencyKey is ""', 'Give 1 to 256 characters, or leave it out.')
  }
  const length = idempotencyKey?.length ?? 0
  if (length > keyLength) {
    refuse('LIMIT_EXCEEDED', `the idempotencyKey is ${length} characters long`, `At most ${keyLength} fit.`)
  }
}
