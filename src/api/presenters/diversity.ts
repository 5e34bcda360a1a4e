import { z } from 'zod'
import type { HeadDiversityRow } from '../../heads/rows.ts'

const interval = z.object({ low: z.number(), high: z.number(), level: z.number() })
const estimate = z.object({ value: z.number(), interval: interval.nullable() })
const absent = estimate.nullable().default(null)
const figure = z.number().nullable()

/** What the row of a layer's diversity holds as JSON: `LayerDiversity` of src/heads, and the baseline of random weights. */
const storedDiversity = z.object({
  layer: z.number(),
  heads: z.array(z.object({ head: z.number(), kvHead: z.number() })),
  jsDistance: z.array(z.array(z.number())),
  all: estimate,
  withinGroups: absent,
  betweenGroups: absent,
  betweenMinusWithin: absent,
  shuffledBaseline: absent,
  randomWeightsBaseline: absent,
  positionBaseline: absent,
  atPositions: absent,
  alibiBaseline: absent,
  entropy: z.array(estimate),
  behaviours: z.array(z.object({ head: z.number(), name: z.string(), score: estimate, uniform: z.number() })),
  perPrompt: z.array(
    z.object({
      key: z.string(),
      tokens: z.number(),
      sequence: z.string().nullable().default(null),
      all: z.number(),
      withinGroups: figure,
      betweenGroups: figure,
      shuffledBaseline: figure,
      atPositions: figure,
    }),
  ),
})
export type StoredDiversity = z.infer<typeof storedDiversity>

/** @throws Error where the row holds something else: it was written by a worker of ours, so that is a fault of ours */
export function diversityOf({ layer, values }: HeadDiversityRow): StoredDiversity {
  const parsed = storedDiversity.safeParse({ ...values, layer })
  if (parsed.success) return parsed.data
  throw new Error(`the diversity of layer ${layer} is stored in another form`, { cause: parsed.error })
}
