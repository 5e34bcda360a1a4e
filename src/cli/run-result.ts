import { AppError, type ErrorCode, errorTable } from '../errors.ts'

interface EndedRun {
  status: string
  error: { code: string; message: string; hint: string | null } | null
}

/**
 * Refuses a run that has not succeeded.
 * @throws AppError with the run's own code, message and hint
 */
export function requireSuccess({ status, error }: EndedRun): void {
  if (status === 'SUCCEEDED') return
  const { code, message, hint } = error ?? { code: 'CONFLICT', message: `The run ended ${status}`, hint: null }
  throw new AppError(isErrorCode(code) ? code : 'INTERNAL', message, hint)
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorTable, code)
}
