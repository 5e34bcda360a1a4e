const most = 120

/** A value of a hostile file as a message may show it: JSON, cut after 120 characters. */
export function quote(value: unknown): string {
  const short = typeof value === 'string' ? value.slice(0, most + 1) : value
  const text = JSON.stringify(short) ?? String(value)
  return text.length > most ? `${text.slice(0, most)}...` : text
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
