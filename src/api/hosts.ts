import { isIPv4 } from 'node:net'
import type { Config } from '../config.ts'
import { AppError } from '../errors.ts'

/** The name in a Host header, lower case, without port and brackets; null where the header is none. */
export function hostName(header: string | undefined): string | null {
  const parts = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(header ?? '')
  return parts === null ? null : (parts[1] ?? parts[2] ?? '').toLowerCase()
}

/** Whether a name or address can only mean this machine: 127.0.0.0/8 (RFC 5735), ::1, localhost (RFC 6761). */
export function isLoopback(name: string): boolean {
  if (isIPv4(name)) return name.startsWith('127.')
  return name === '::1' || name === 'localhost' || name.endsWith('.localhost')
}

/**
 * Whether a request may name us so. A page on another site can make its own name resolve to our address (DNS
 * rebinding); the browser then sends that name in Host, and the same-origin policy no longer stands between us.
 */
export function hostAllowed(header: string | undefined, config: Pick<Config, 'host' | 'allowedHosts'>): boolean {
  const name = hostName(header)
  if (name === null) return false
  return isLoopback(name) || [config.host, ...config.allowedHosts].some((allowed) => allowed.toLowerCase() === name)
}

/** Whether a request comes from no page at all or from a page of our own: its Origin is the host it was sent to. */
export function originAllowed(origin: string | undefined, host: string | undefined): boolean {
  if (origin === undefined) return true
  return URL.canParse(origin) && host !== undefined && new URL(origin).host === host.toLowerCase()
}

/** @throws AppError FORBIDDEN where everybody on the network could use the API */
export function refuseOpenNetwork(config: Pick<Config, 'host' | 'tokens'>): void {
  if (config.tokens.length > 0 || isLoopback(config.host)) return
  throw new AppError(
    'FORBIDDEN',
    `KVSCOPE_HOST is ${config.host}, which other machines can reach, and KVSCOPE_TOKENS is not set`,
    'Set KVSCOPE_TOKENS to name:secret pairs that clients must send, or leave KVSCOPE_HOST at 127.0.0.1.',
  )
}
