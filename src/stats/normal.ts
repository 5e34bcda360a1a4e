/** P(Z < z) of the standard normal distribution: Abramowitz and Stegun 26.2.17, absolute error below 7.5e-8. */
export function normalCdf(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z))
  const polynomial = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  const tail = (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * polynomial
  return z > 0 ? 1 - tail : tail
}

/** The z below which a share p of the standard normal distribution lies, by bisection. */
function normalQuantile(p: number): number {
  let low = -9
  let high = 9
  for (let step = 0; step < 60; step += 1) {
    const middle = (low + high) / 2
    if (normalCdf(middle) < p) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/**
 * Quantile of Student's t by the first four terms of its expansion in 1/degrees (Abramowitz and Stegun 26.7.5); within
 * 0.5 % from four degrees of freedom on at p = 0.975.
 */
export function studentQuantile(p: number, degrees: number): number {
  const z = normalQuantile(p)
  const z2 = z * z
  return (
    z +
    (z * (z2 + 1)) / (4 * degrees) +
    (z * (5 * z2 ** 2 + 16 * z2 + 3)) / (96 * degrees ** 2) +
    (z * (3 * z2 ** 3 + 19 * z2 ** 2 + 17 * z2 - 15)) / (384 * degrees ** 3) +
    (z * (79 * z2 ** 4 + 776 * z2 ** 3 + 1482 * z2 ** 2 - 1920 * z2 - 945)) / (92_160 * degrees ** 4)
  )
}
