/** SQLSTATEs of a server that goes away or is not back yet: admin shutdown, crash shutdown, cannot connect now. */
const lostStates = ['57P01', '57P02', '57P03']
const lostCodes = ['ECONNRESET', 'ECONNREFUSED', 'EPIPE']

/** Whether an error says no more than that a connection to PostgreSQL broke; the next query makes a new one. */
export function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error.message === 'Connection terminated unexpectedly') return true
  return 'code' in error && [...lostStates, ...lostCodes].includes(String(error.code))
}
