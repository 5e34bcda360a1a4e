import { type Prediction, predictOnDevices } from '../../architecture/named-devices.ts'
import type { StoredSeries } from '../../db/rows.ts'
import { median } from '../../stats/quantile.ts'
import type { SummaryParent } from '../rows.ts'
import type { StoredEnvironment } from './run.ts'

/** Of each trial: (promptTokens + generatedTokens) x batch / seconds; null where no tokens were processed, as in LOAD. */
export function tokensPerSecond(series: StoredSeries): SummaryParent | null {
  const tokens = (series.promptTokens + series.generatedTokens) * series.batch
  if (tokens === 0 || series.phase === 'LOAD') return null
  return { samples: series.samples.map((milliseconds) => (tokens * 1000) / milliseconds) }
}

/** Share of what a trial reads at the least that is K/V cache; null for LOAD. */
export function kvShareOfBytes({ bytesRead, kvBytesRead }: StoredSeries): number | null {
  return bytesRead === null || kvBytesRead === null || bytesRead === 0 ? null : kvBytesRead / bytesRead
}

/** How near a series came to a bound: the least time by what the machine does in a second / the median time. */
export interface SharesOfBounds {
  bandwidth: number | null
  compute: number | null
}

/**
 * Null where the bounds of the machine are unknown, and for subjects on another device than the CPU, whose memory was not
 * measured. Bounds are those of as many threads as the run's subjects had at most.
 */
export function sharesOfBounds(
  { bytesRead, flops, samples }: StoredSeries,
  device: string,
  bounds: StoredEnvironment['bounds'],
): SharesOfBounds {
  if (bounds === null || device !== 'CPU' || samples.length === 0) return { bandwidth: null, compute: null }
  const seconds = median(samples) / 1000
  return {
    bandwidth: bytesRead === null ? null : bytesRead / bounds.bytesPerSecond / seconds,
    compute: flops === null ? null : flops / bounds.flopsPerSecond / seconds,
  }
}

/** What one trial would take at the least on devices known by their datasheets; none for LOAD. */
export function predictionsOf({ bytesRead, flops }: StoredSeries): Prediction[] {
  return bytesRead === null || flops === null ? [] : predictOnDevices({ bytesRead, flops })
}
