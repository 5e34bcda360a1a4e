const decimalUnits = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
const binaryUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

function scaledBytes(bytes: number, base: number, units: readonly string[]): string {
  let value = bytes
  let step = 0
  while (Math.abs(value) >= base && step < units.length - 1) {
    value /= base
    step += 1
  }
  if (step === 0) return `${formatInteger(value)} B`
  return `${Math.abs(value) < 100 ? value.toPrecision(3) : value.toFixed(1)} ${units[step]}`
}

/** Bytes in powers of 1000: `399.8 GB`. */
export function formatDecimalBytes(bytes: number): string {
  return scaledBytes(bytes, 1000, decimalUnits)
}

/** Bytes in powers of 1024: `4.50 GiB`. */
export function formatBinaryBytes(bytes: number): string {
  return scaledBytes(bytes, 1024, binaryUnits)
}

/** Both, since confusing them is worth 7 % at a GB: `4.83 GB = 4.50 GiB`. */
export function formatBytes(bytes: number): string {
  if (Math.abs(bytes) < 1000) return formatDecimalBytes(bytes)
  return `${formatDecimalBytes(bytes)} = ${formatBinaryBytes(bytes)}`
}

/** A whole number with its thousands set apart: `3,997,696`. */
export function formatInteger(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

/** A count in thousands, millions or billions, as model sizes are told: `354.8 M`, `1.31 B`. */
export function formatCount(count: number): string {
  if (count < 1000) return formatInteger(count)
  if (count < 1e6) return `${(count / 1e3).toPrecision(4)} k`
  if (count < 1e9) return `${(count / 1e6).toPrecision(4)} M`
  return `${(count / 1e9).toPrecision(4)} B`
}

/** Three digits of a time given in milliseconds, in ns, µs, ms or s: `41.2 ms`, `1.62 s`. */
export function formatMilliseconds(milliseconds: number): string {
  const size = Math.abs(milliseconds)
  if (size >= 100_000) return `${(milliseconds / 1000).toFixed(0)} s`
  if (size >= 999.5) return `${threeDigits(milliseconds / 1000)} s`
  if (size >= 0.9995 || size === 0) return `${threeDigits(milliseconds)} ms`
  if (size >= 0.0009995) return `${threeDigits(milliseconds * 1000)} µs`
  return `${threeDigits(milliseconds * 1e6)} ns`
}

/** Three digits: `24.3`; from 1000 on whole numbers with thousands set apart. */
export function formatRate(value: number): string {
  return Math.abs(value) >= 999.5 ? formatInteger(value) : threeDigits(value)
}

export interface RatioInterval {
  low: number
  high: number
}

/** A ratio, with its interval where it has one: `0.874 [0.861, 0.889]`. */
export function formatRatio(ratio: number, interval: RatioInterval | null): string {
  const text = ratioDigits(ratio)
  return interval === null ? text : `${text} [${ratioDigits(interval.low)}, ${ratioDigits(interval.high)}]`
}

/** A share of 1 as a whole percentage, `<1 %` where rounding would hide it. */
export function formatPercent(share: number): string {
  if (share > 0 && share < 0.005) return '<1 %'
  return `${(share * 100).toFixed(0)} %`
}

function ratioDigits(ratio: number): string {
  return ratio < 9.9995 ? ratio.toFixed(3) : ratio < 999.5 ? threeDigits(ratio) : formatInteger(ratio)
}

function threeDigits(value: number): string {
  const size = Math.abs(value)
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2)
}
