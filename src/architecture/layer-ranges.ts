const mostRanges = 4

/**
 * Layers as people write them: `0-31`, `0, 2, ..., 24` for every second one, `0-4, 6-10, ..., 60-61` where ranges are many.
 * @param layers ascending
 */
export function layerRanges(layers: readonly number[]): string {
  const [first = 0, second = 0] = layers
  const stride = second - first
  const evenly = layers.every((layer, index) => index === 0 || layer - (layers[index - 1] ?? 0) === stride)
  if (evenly && stride > 1 && layers.length > 3) return `${first}, ${second}, ..., ${layers.at(-1)}`

  const ranges: [number, number][] = []
  for (const layer of layers) {
    const last = ranges.at(-1)
    if (last && last[1] === layer - 1) last[1] = layer
    else ranges.push([layer, layer])
  }
  const spelled = ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`))
  if (spelled.length <= mostRanges) return spelled.join(', ')
  return [...spelled.slice(0, 2), '...', ...spelled.slice(-1)].join(', ')
}
