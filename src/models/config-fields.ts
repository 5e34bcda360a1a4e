import type { ModelConfig } from '../architecture/model-config.ts'
import { AppError } from '../errors.ts'

/**
 * Refuses fields of config.json that would change a family's arithmetic in a way its graph does not know. A field that
 * is absent or null, or holds one of the neutral values, is fine.
 * @throws AppError CONFIG_UNSUPPORTED naming the field and its value
 */
export function requireNeutral(config: ModelConfig, neutral: Readonly<Record<string, readonly unknown[]>>): void {
  for (const [field, values] of Object.entries(neutral)) {
    const value = config.raw[field]
    if (value !== undefined && value !== null && !values.includes(value)) refuse(config, field, value)
  }
}

/** @throws AppError CONFIG_UNSUPPORTED, always */
export function refuse(config: ModelConfig, field: string, value: unknown): never {
  throw new AppError(
    'CONFIG_UNSUPPORTED',
    `${config.name}: config.json sets ${field} to ${JSON.stringify(value)}, which the ${config.family} graph does not compute`,
    'Take a checkpoint without it: running this one would give wrong numbers.',
  )
}

/** A field that is true or false; absent or null counts as `fallback`. */
export function flag(config: ModelConfig, field: string, fallback: boolean): boolean {
  const value = config.raw[field] ?? fallback
  if (typeof value !== 'boolean') refuse(config, field, value)
  return value
}

/** A number above 0; null where the field is null, and `fallback` where it is absent. */
export function positive(config: ModelConfig, field: string, fallback: number | null): number | null {
  const value = config.raw[field] === undefined ? fallback : config.raw[field]
  if (value === null || (typeof value === 'number' && Number.isFinite(value) && value > 0)) return value
  return refuse(config, field, value)
}

/**
 * One layer's K/V heads, for families whose layers all cache plain keys and values of every token.
 * @throws AppError CONFIG_UNSUPPORTED for a latent cache, a window, or a number that does not divide the heads
 */
export function kvHeadsOf(config: ModelConfig, layer: number): number {
  const { kvHeads, window } = kvShapeOf(config, layer)
  return window === undefined ? kvHeads : refuse(config, 'sliding_window', window)
}

/**
 * One layer's K/V heads and its window, for families whose layers cache plain keys and values; spread into an
 * AttentionSpec.
 * @throws AppError CONFIG_UNSUPPORTED for a latent cache, or a number that does not divide the heads
 */
export function kvShapeOf(config: ModelConfig, layer: number): { kvHeads: number; window?: number } {
  const shape = config.attention[layer]
  if (!shape) return refuse(config, 'layers', layer)
  const { kvHeads, window, latent } = shape
  if (latent !== null || kvHeads === null) return refuse(config, 'kv_lora_rank', latent?.rank)
  if (config.heads % kvHeads !== 0) return refuse(config, 'num_key_value_heads', kvHeads)
  return window === null ? { kvHeads } : { kvHeads, window }
}
