/**
 * Every error a user can meet, in one table: what the code means and whether asking again can help.
 * Clients branch on the code (`extensions.code` in GraphQL, `RunError.code` on a failed run), so a code never changes
 * its meaning.
 */
export const errorTable = {
  VALIDATION_FAILED: { meaning: 'The request is not of the form the schema asks for.' },
  NOT_FOUND: { meaning: 'Nothing stored has that id or name.' },
  CONFLICT: { meaning: 'The request contradicts something that already stands.' },
  CONTEXT_EXCEEDED: { meaning: 'More tokens are asked for than the model has positions.' },
  LIMIT_EXCEEDED: { meaning: 'The request is larger than this server allows.' },
  CHECKPOINT_INVALID: { meaning: 'A checkpoint on disk is damaged, incomplete or not what it says it is.' },
  CONFIG_UNSUPPORTED: { meaning: 'A config.json asks for something that no block of the engine knows.' },
  PATH_FORBIDDEN: { meaning: 'A path lies outside the folders that models may be read from.' },
  HUB_ACCESS_DENIED: { meaning: 'A repository is gated, private or disabled, or the hub refuses the token.' },
  HUB_RATE_LIMITED: { meaning: 'The hub asks for fewer requests, for longer than it was waited.' },
  HUB_UNAVAILABLE: { meaning: 'The hub cannot be reached, breaks off, or may not be asked (HF_HUB_OFFLINE).' },
  DEVICE_UNAVAILABLE: { meaning: 'No live worker offers the device.' },
  WORKER_CRASHED: { meaning: 'The process that ran the model ended without a result.' },
  OUT_OF_MEMORY: { meaning: 'The machine has, or had, too little memory for the model.' },
  OUT_OF_DISK: { meaning: 'The disk has too little room for what is to be written.' },
  TIMED_OUT: { meaning: 'The run took longer than it was allowed.' },
  RUN_NOT_RETRYABLE: { meaning: 'The run is queued, running or has succeeded: there is nothing to try again.' },
  UNAUTHENTICATED: { meaning: 'The request carries no valid token.' },
  FORBIDDEN: { meaning: 'The request comes from where it may not come from.' },
  DATA_DIR_IN_USE: { meaning: 'Another server owns the data folder.' },
  PORT_IN_USE: { meaning: 'Another process listens on the port.' },
  INTERNAL: { meaning: 'A fault of kvscope itself; its log has the details under the id that the message names.' },
} as const satisfies Record<string, { meaning: string }>

export type ErrorCode = keyof typeof errorTable

/** An error a user can act on: what was wrong (with the value), and in `hint` what to do about it. */
export class AppError extends Error {
  readonly code: ErrorCode
  readonly hint: string | null

  constructor(code: ErrorCode, message: string, hint: string | null = null, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'AppError'
    this.code = code
    this.hint = hint
  }
}

/** An AppError in the form that crosses a process boundary or is stored with a run. */
export interface ErrorRecord {
  code: ErrorCode
  message: string
  hint: string | null
}

export function toErrorRecord(error: AppError): ErrorRecord {
  return { code: error.code, message: error.message, hint: error.hint }
}
