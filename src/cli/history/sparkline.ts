const levels = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']

/**
 * Values as one line of bars, the least lowest, at most `width` columns: where there are more values a column is their
 * mean. Equal values lie in the middle.
 */
export function sparkline(values: readonly number[], width: number): string {
  const columns = Math.min(values.length, width)
  const means = Array.from({ length: columns }, (_, column) => {
    const first = Math.floor((column * values.length) / columns)
    const end = Math.floor(((column + 1) * values.length) / columns)
    const part = values.slice(first, end)
    return part.reduce((sum, value) => sum + value, 0) / part.length
  })
  const [least, most] = [Math.min(...means), Math.max(...means)]
  return means
    .map((value) => {
      const place = most === least ? 0.5 : (value - least) / (most - least)
      return levels[Math.min(levels.length - 1, Math.floor(place * levels.length))] ?? ''
    })
    .join('')
}
