/** A label that wants to stand with its middle at `wanted`. */
export interface SpreadLabel {
  wanted: number
  height: number
}

interface Cluster {
  members: number[]
  top: number
  height: number
}

/**
 * Middles of labels that do not touch, as near to where they want to be as can be: those that would touch become one
 * cluster, which stands where its members want to be on average (the pooling of adjacent violators: Robertson, Wright and
 * Dykstra, "Order Restricted Statistical Inference", 1988). Labels keep the order of what they want.
 * @param top of the room; where the labels need more than there is they go on below `bottom`
 * @returns in the order of the labels given
 */
export function spreadLabels(labels: readonly SpreadLabel[], top: number, bottom: number): number[] {
  const order = [...labels.keys()].sort((a, b) => (labels[a]?.wanted ?? 0) - (labels[b]?.wanted ?? 0))
  const clusters: Cluster[] = []
  for (const index of order) {
    let cluster = clusterOf([index], labels, top, bottom)
    for (let above = clusters.at(-1); above !== undefined; above = clusters.at(-1)) {
      if (above.top + above.height <= cluster.top) break
      clusters.pop()
      cluster = clusterOf([...above.members, ...cluster.members], labels, top, bottom)
    }
    clusters.push(cluster)
  }
  const middles = new Array<number>(labels.length).fill(0)
  for (const cluster of clusters) {
    let at = cluster.top
    for (const index of cluster.members) {
      const height = labels[index]?.height ?? 0
      middles[index] = at + height / 2
      at += height
    }
  }
  return middles
}

function clusterOf(members: number[], labels: readonly SpreadLabel[], top: number, bottom: number): Cluster {
  let height = 0
  let wishes = 0
  for (const index of members) {
    const label = labels[index]
    if (label === undefined) continue
    wishes += label.wanted - (height + label.height / 2)
    height += label.height
  }
  const wished = wishes / members.length
  return { members, height, top: Math.max(top, Math.min(wished, bottom - height)) }
}
