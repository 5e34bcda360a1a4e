import { AppError } from '../errors.ts'
import { familyOf } from './families.ts'
import { readFields } from './fields.ts'
import type { ModelConfig } from './model-config.ts'
import { withStretchedContext } from './rope.ts'

/**
 * The same model with its K/V heads pooled into fewer (Ainslie et al. 2023, section 2.1); `raw` says so too, so that
 * reading it again gives the same config.
 * @throws AppError VALIDATION_FAILED where the heads do not pool evenly, CONFIG_UNSUPPORTED where the family cannot say it
 */
export function withKvHeads(config: ModelConfig, kvHeads: number): ModelConfig {
  const { withKvHeads: rewrite, read } = familyOf(config)
  if (rewrite === undefined || config.attention.some((shape) => shape.kvHeads === null)) {
    throw new AppError('CONFIG_UNSUPPORTED', `${config.family} has no form with ${kvHeads} K/V heads of its own`)
  }
  const uneven = config.attention.find((shape) => (shape.kvHeads ?? 0) % kvHeads !== 0)
  if (!Number.isInteger(kvHeads) || kvHeads < 1 || uneven) {
    const present = uneven?.kvHeads ?? config.attention[0]?.kvHeads
    throw new AppError(
      'VALIDATION_FAILED',
      `kvHeads is ${kvHeads}, and ${config.name} has ${present} K/V heads, which do not pool into that many`,
      `Choose a divisor of ${present}.`,
    )
  }
  return withStretchedContext(read(readFields(rewrite(config.raw, kvHeads)), config.name))
}
