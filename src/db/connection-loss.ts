/**
 * SQLSTATEs of a server that goes away or is not back yet, or that ends a connection: admin shutdown, crash shutdown,
 * cannot connect now, idle in transaction for too long.
 */
const lostStates = ['57P01', '57P02', '57P03', '25P03']
const lostCodes = ['ECONNRESET', 'ECONNREFUSED', 'EPIPE']
/** Prisma's: cannot reach the server, it timed out, it closed the connection. */
const prismaCodes = ['P1001', 'P1002', 'P1008', 'P1017']
/** The same as Prisma's driver adapter says it of a raw query, whose own code is always P2010. */
const adapterKinds = ['DatabaseNotReachable', 'ConnectionClosed', 'SocketTimeout']
/** What pg says of a connection that ended, or could not be had in time. */
const driverMessage = /^Connection terminated|^timeout exceeded when trying to connect$/

/** Whether an error says no more than that PostgreSQL could not be reached or a connection broke: asking again may help. */
export function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (driverMessage.test(error.message)) return true
  const code = 'code' in error ? String(error.code) : ''
  if ([...lostStates, ...lostCodes, ...prismaCodes].includes(code)) return true
  const { kind, originalCode } = adapterCause(error)
  return adapterKinds.includes(String(kind)) || lostStates.includes(String(originalCode))
}

/** Of `meta.driverAdapterError.cause`, as Prisma's errors carry it. */
export function adapterCause(error: Error): { kind?: unknown; originalCode?: unknown } {
  let inner: unknown = error
  for (const name of ['meta', 'driverAdapterError', 'cause']) inner = Object(inner)[name]
  return Object(inner)
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
