import { attentionRamp, rampStep, rampSteps } from './attention-ramp.ts'
import type { Rgb } from './colour-space.ts'
import type { AttentionKind } from './kind-style.ts'
import type { Theme } from './theme.ts'
import { divergingStep, type WeightsScale, weightsRamp } from './weights-ramp.ts'

/** How values become colours, and what a colour bar says of it. */
export interface Shading {
  ramp: readonly Rgb[]
  /** step of the ramp, or -1 for what is no number */
  step(value: number): number
  /** values marked on the colour bar, ascending, each with its place on it from 0 to 1 */
  ticks: readonly { at: number; label: string }[]
  /** what the bar shows, and what the eye must know of it */
  caption: string
  notes: readonly string[]
}

const finite = (value: number, step: (value: number) => number): number => (Number.isFinite(value) ? step(value) : -1)

/** A probability of at most `end` on the kind's ramp at the place (p / end)^0.4; `end` is 1 unless a picture says otherwise. */
export function attentionShading(kind: AttentionKind, theme: Theme, end = 1): Shading {
  const ticks = end === 1 ? [0, 0.01, 0.05, 0.1, 0.25, 0.5, 1] : [0, 0.01, 0.05, 0.1, 0.25, 0.5, 1].map((t) => t * end)
  return {
    ramp: attentionRamp(kind, theme),
    step: (value) => finite(value, (p) => rampStep(p / end)),
    ticks: ticks.map((value) => ({ at: rampStep(value / end) / (rampSteps - 1), label: formatNumber(value) })),
    caption: 'attention probability',
    notes: [],
  }
}

/** For a picture in which each map is scaled to its own largest probability. */
export function ownAttentionShading(kind: AttentionKind, theme: Theme): Shading {
  const ticks = [0, 0.01, 0.05, 0.1, 0.25, 0.5, 1]
  return {
    ...attentionShading(kind, theme),
    ticks: ticks.map((value) => ({ at: rampStep(value) / (rampSteps - 1), label: `${formatNumber(100 * value)} %` })),
    caption: "attention probability, as a share of each map's largest after the first query",
    notes: ['Colours do not compare between maps.'],
  }
}

/** A value on the diverging ramp from -end to +end. */
export function weightsShading(theme: Theme, scale: WeightsScale, caption: string): Shading {
  const { end, largest } = scale
  const ticks = end === 0 ? [0] : [-end, -end / 2, 0, end / 2, end]
  const [within, most] = [formatNumber(end), formatNumber(largest)]
  const beyond = within === most ? [] : [`99.5 % of the values lie within ±${within}; the largest is ±${most}.`]
  return {
    ramp: weightsRamp(theme),
    step: (value) => finite(value, (w) => divergingStep(w, end)),
    ticks: ticks.map((value) => ({ at: end === 0 ? 0.5 : (value / end + 1) / 2, label: formatSigned(value) })),
    caption,
    notes: beyond,
  }
}

/** A value from 0 to `end` in equal steps on the kind's ramp. */
export function linearShading(kind: AttentionKind, theme: Theme, end: number, caption: string): Shading {
  const place = (value: number) => (end === 0 ? 0 : Math.min(1, Math.max(0, value / end)))
  const ticks = end === 0 ? [0] : [0, 0.25, 0.5, 0.75, 1].map((t) => t * end)
  return {
    ramp: attentionRamp(kind, theme),
    step: (value) => finite(value, (v) => Math.round((rampSteps - 1) * place(v))),
    ticks: ticks.map((value) => ({ at: place(value), label: formatNumber(value) })),
    caption,
    notes: [],
  }
}

/** A number short enough for a tick: three significant digits, a power of ten where it would be long. */
export function formatNumber(value: number): string {
  const size = Math.abs(value)
  if (size === 0) return '0'
  if (size >= 0.0001 && size < 100_000) return String(Number(value.toPrecision(3)))
  return value.toExponential(1).replace('e+', 'e').replace('-', '−')
}

function formatSigned(value: number): string {
  return value === 0 ? '0' : `${value < 0 ? '−' : '+'}${formatNumber(Math.abs(value))}`
}
