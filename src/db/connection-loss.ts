/**
 * SQLSTATEs of a server that goes away or is not back yet, or that ends a connection: admin shutdown, crash shutdown,
 * cannot connect now, idle in transaction for too long.
 */
const lostStates = ['57P01', '57P02', '57P03', '25P03']
const lostCodes = ['ECONNRESET', 'ECONNREFUSED', 'EPIPE']

/** Whether an error says no more than that a connection to PostgreSQL broke; the next query makes a new one. */
function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error.message === 'Connection terminated unexpectedly') return true
  return 'code' in error && [...lostStates, ...lostCodes].includes(String(error.code))
}

/**
 * When the last word of a connection arrives together with its first, as from a dying PostgreSQL to a busy process, the
 * driver has no listener yet and the loss throws out of the event loop. It is a loss like any other: what needed the
 * connection is told as well, and tries again.
 * @param onOther told of any other uncaught error, after which the process must end
 * @returns ends the watch
 */
export function surviveConnectionLoss(onLoss: (error: unknown) => void, onOther: (error: unknown) => void): () => void {
  const onUncaught = (error: unknown) => (isConnectionLoss(error) ? onLoss(error) : onOther(error))
  process.on('uncaughtException', onUncaught)
  return () => process.off('uncaughtException', onUncaught)
}
