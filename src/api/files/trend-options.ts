import { z } from 'zod'
import { devices, phases, runKinds, runStatuses } from '../../jobs/glossary.ts'
import { wholeNumber } from './file-route.ts'
import { pictureShape } from './picture-file.ts'

const text = z.string({ error: 'give it once, as text' })
const moment = z.iso
  .datetime({ offset: true, error: 'it is no moment as ISO 8601 writes them' })
  .transform((at) => new Date(at))

/** RunFilter of the schema, as it stands in an address: JSON. */
const runFilter = z
  .strictObject({
    kind: z.enum(runKinds),
    status: z.array(z.enum(runStatuses)),
    labels: z.array(z.strictObject({ key: z.string(), value: z.string() })),
    model: z.string(),
    attentionKind: z.enum(['MHA', 'GQA', 'MQA', 'MLA']),
    kvHeads: z.int32(),
    device: z.enum(devices),
    hostname: z.string(),
    queuedAfter: moment,
    queuedBefore: moment,
    text: z.string(),
  })
  .partial()

/** Null counts as left out, as GraphQL has it. */
function readFilter(json: string, context: z.RefinementCtx): z.output<typeof runFilter> {
  const parsed = runFilter.safeParse(parseObject(json))
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const where = issue?.path.join('.') ?? ''
  context.addIssue({
    code: 'custom',
    message: `it is no RunFilter as JSON: ${where === '' ? '' : `${where}: `}${issue?.message ?? 'it does not fit'}`,
  })
  return z.NEVER
}

function parseObject(json: string): unknown {
  try {
    const given: unknown = JSON.parse(json)
    if (typeof given !== 'object' || given === null || Array.isArray(given)) return given
    return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null))
  } catch {
    return undefined
  }
}

/** What follows the question mark of a trend's picture: the fields of TrendInput, and how it is drawn. */
export const trendOptions = z.strictObject({
  subject: text,
  phase: z.enum(phases, { error: `it is one of ${phases.join(', ')}` }),
  test: text.optional(),
  metric: z
    .enum(['TIME', 'TOKENS_PER_SECOND', 'KV_CACHE_BYTES', 'PEAK_MEMORY_BYTES'], {
      error: 'it is TIME, TOKENS_PER_SECOND, KV_CACHE_BYTES or PEAK_MEMORY_BYTES',
    })
    .optional(),
  limit: wholeNumber.optional(),
  filter: text.transform(readFilter).optional(),
  ...pictureShape,
})
