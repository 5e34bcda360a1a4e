import { type Fields, unsupported } from './fields.ts'
import type { Family, ModelConfig } from './model-config.ts'
import { type RopeParameters, type RopeScaling, readRopeScaling } from './rope-scaling.ts'

type Raw = Readonly<Record<string, unknown>>
type LayerType = 'full_attention' | 'sliding_attention'

const layerTypes: readonly string[] = ['full_attention', 'sliding_attention'] satisfies LayerType[]

const isObject = (value: unknown): value is Raw => typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Base of the rotary embedding (Su et al. 2021). transformers 4 spells it `rope_theta`; transformers 5 puts it into
 * `rope_parameters`; GPT-NeoX says `rotary_emb_base`. Where layers differ it is that of full attention.
 */
export function readRopeTheta(fields: Fields, fallback = 10_000): number {
  fields.any('rope_parameters', 'rope_scaling')
  const nested = thetaOf(ropeParameters(fields.raw, 'full_attention'))
  return nested ?? fields.number(fallback, 'rope_theta', 'rotary_emb_base')
}

/** By how much positions turn a head's values. */
export interface RotarySpec {
  /** values of a head that are turned: the head dim, or less of it (Black et al. 2022, section 2.1.1) */
  width: number
  /** base of the frequencies */
  theta: number
  /** absent: the plain embedding */
  scaling?: RopeScaling
}

/** What a family means where its config.json is silent. */
export interface RopeDefaults {
  /** part of each head that is turned; 1 unless said */
  partial?: number
  /** base of layers that slide; that of the others unless said */
  localTheta?: number
  /** length that the model was trained with before it was stretched; max_position_embeddings unless said */
  originalLength?: number
}

/** As the configuration classes of transformers have it. */
const familyDefaults: Partial<Record<Family, RopeDefaults>> = {
  gpt_neox: { partial: 0.25 },
  phi: { partial: 0.5 },
  phi3: { originalLength: 4096 },
  gemma3: { localTheta: 10_000 },
}

/**
 * The rotary embedding of a config's layer, in any spelling of its fields; without a layer, that of full attention. Of a
 * layer with a latent (MLA) it is that of the rotary key.
 * @throws AppError CONFIG_UNSUPPORTED naming a field that says what no rotary block knows
 */
export function ropeOf(
  config: ModelConfig,
  layer?: number,
  defaults = familyDefaults[config.family] ?? {},
): RotarySpec {
  const { raw } = config
  const shape = config.attention[layer ?? 0]
  const slides = layer !== undefined && shape?.window != null
  const parameters = ropeParameters(raw, slides ? 'sliding_attention' : 'full_attention')
  const whole = shape?.latent?.ropeDim ?? config.headDim
  const width = Math.trunc(whole * partialOf(raw, parameters, defaults))
  if (width < 2 || width % 2 !== 0) unsupported('partial_rotary_factor', width / whole, `it turns ${width} of ${whole}`)

  const local = slides ? localTheta(raw, defaults) : null
  const theta = thetaOf(parameters) ?? local ?? config.ropeTheta ?? unsupported('rope_theta', null, 'it is needed')
  // Gemma 3's older spelling: rope_scaling speaks of the layers that see everything.
  if (local !== null && !parameters.byType) return { width, theta }
  const stated = raw.original_max_position_embeddings
  const originalLength = typeof stated === 'number' ? stated : (defaults.originalLength ?? null)
  const contextLength = writtenLength(raw) ?? config.contextLength
  const scaling = readRopeScaling(parameters, { contextLength, originalLength })
  if (scaling?.type === 'dynamic' && width === 2)
    unsupported(`${parameters.field}.type`, 'dynamic', 'it turns 2 values')
  if (scaling?.type === 'longrope') requirePairs(parameters, scaling, width / 2)
  return scaling === null ? { width, theta } : { width, theta, scaling }
}

/**
 * The length in tokens up to which a sequence is turned alike, however long it is: beyond it LongRoPE goes over to its long
 * factors at once, and dynamic scaling turns by another base with every token. Infinite for all other embeddings.
 */
export function fixedRopeLength(config: ModelConfig): number {
  const scaling = config.ropeTheta === null ? undefined : ropeOf(config).scaling
  return scaling?.type === 'dynamic' ? scaling.trainedLength : ropeSwitch(config)
}

/**
 * The length in tokens beyond which LongRoPE turns every position, the earlier ones too, by other factors; infinite for all
 * other embeddings.
 */
export function ropeSwitch(config: ModelConfig): number {
  if (config.ropeTheta === null) return Number.POSITIVE_INFINITY
  const { scaling } = ropeOf(config)
  return scaling?.type === 'longrope' ? scaling.originalLength : Number.POSITIVE_INFINITY
}

/**
 * The config with as many positions as its rotary scaling is made for, where config.json leaves them at those that the
 * model was trained with: dynamic scaling begins at max_position_embeddings, and YaRN is often switched on by its fields
 * alone.
 */
export function withStretchedContext(config: ModelConfig): ModelConfig {
  const { raw } = config
  const { values } = ropeParameters(raw, 'full_attention')
  const { factor, rope_type: type = values.type } = values
  const written = writtenLength(raw)
  if (written === null || typeof factor !== 'number') return config
  const trained = raw.original_max_position_embeddings ?? values.original_max_position_embeddings
  const leftAlone = type === 'dynamic' || (type === 'yarn' && trained === written)
  return leftAlone ? { ...config, contextLength: Math.max(written, Math.floor(written * factor)) } : config
}

function writtenLength({ max_position_embeddings: length }: Raw): number | null {
  return typeof length === 'number' ? length : null
}

/**
 * Where a config.json says how it turns layers of a type: rope_scaling (transformers 4) or rope_parameters
 * (transformers 5), which may hold one set for each type of layer. Empty where it says nothing.
 * @throws AppError CONFIG_UNSUPPORTED where both are set and differ
 */
function ropeParameters(raw: Raw, type: LayerType): RopeParameters & { byType?: true } {
  const [older, newer] = [readObject(raw, 'rope_scaling'), readObject(raw, 'rope_parameters')]
  if (newer === null) return { field: 'rope_scaling', values: older ?? {} }
  const says = older !== null && Object.keys(older).length > 0
  if (says && JSON.stringify(older) !== JSON.stringify(newer)) {
    unsupported('rope_scaling', older, 'rope_parameters says something else')
  }
  if (!layerTypes.some((key) => key in newer)) return { field: 'rope_parameters', values: newer }
  for (const [key, value] of Object.entries(newer)) {
    if (!layerTypes.includes(key)) unsupported(`rope_parameters.${key}`, value, 'it stands beside types of layers')
  }
  return { field: `rope_parameters.${type}`, values: readObject(newer, type, 'rope_parameters.') ?? {}, byType: true }
}

function readObject(raw: Raw, key: string, path = ''): Raw | null {
  const value = raw[key] ?? null
  return value === null || isObject(value) ? value : unsupported(path + key, value, 'it must be an object')
}

function thetaOf({ field, values }: RopeParameters): number | null {
  const theta = values.rope_theta ?? null
  if (theta === null || (typeof theta === 'number' && Number.isFinite(theta) && theta > 0)) return theta
  return unsupported(`${field}.rope_theta`, theta, 'it must be a number above 0')
}

/** The base of layers that slide, where config.json or the family gives them one of their own. */
function localTheta(raw: Raw, { localTheta }: RopeDefaults): number | null {
  const stated = raw.rope_local_base_freq ?? localTheta ?? null
  if (stated === null || (typeof stated === 'number' && Number.isFinite(stated) && stated > 0)) return stated
  return unsupported('rope_local_base_freq', stated, 'it must be a number above 0')
}

function requirePairs({ field }: RopeParameters, scaling: RopeScaling & { type: 'longrope' }, pairs: number): void {
  const lists = { short_factor: scaling.shortFactors, long_factor: scaling.longFactors }
  for (const [key, { length }] of Object.entries(lists)) {
    if (length !== pairs) unsupported(`${field}.${key}`, `${length} numbers`, `it must list ${pairs}`)
  }
}

/** The part of a head that is turned; rotary_pct is GPT-NeoX's word for it. */
function partialOf(raw: Raw, { field, values }: RopeParameters, { partial = 1 }: RopeDefaults): number {
  const [name, value] =
    values.partial_rotary_factor != null
      ? [`${field}.partial_rotary_factor`, values.partial_rotary_factor]
      : raw.rotary_pct != null
        ? ['rotary_pct', raw.rotary_pct]
        : ['partial_rotary_factor', raw.partial_rotary_factor ?? partial]
  if (typeof value === 'number' && value > 0 && value <= 1) return value
  return unsupported(name, value, 'it must be a number above 0 and at most 1')
}
