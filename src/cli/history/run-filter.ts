import { type Command, InvalidArgumentError } from 'commander'
import type { RunFilter } from '../../generated/operations.ts'
import { devices, runKinds, runStatuses } from '../../jobs/glossary.ts'
import { labelOption, oneOf, wholeNumber } from '../command.ts'

const attentionKinds = ['MHA', 'GQA', 'MQA', 'MLA'] as const

export interface FilterOptions {
  status?: (typeof runStatuses)[number]
  kind?: (typeof runKinds)[number]
  model?: string
  text?: string
  label?: { key: string; value: string }[]
  device?: (typeof devices)[number]
  host?: string
  kvHeads?: number
  attentionKind?: (typeof attentionKinds)[number]
  since?: Date
  until?: Date
}

/** Adds the options that choose runs; all that are given must hold. */
export function withFilterOptions(command: Command): Command {
  return command
    .option('--status <STATUS>', `only ${runStatuses.join(', ')}`, oneOf(runStatuses))
    .option('--kind <KIND>', `only ${runKinds.join(', ')}`, oneOf(runKinds))
    .option('--model <NAME>', 'only runs of this model')
    .option('--text <TEXT>', "only runs with this in the note or a subject's name")
    .option('--label <KEY=VALUE>', 'only runs with this label (may be repeated)', labelOption)
    .option('--device <DEVICE>', `only runs for ${devices.join(', ')}`, oneOf(devices))
    .option('--host <NAME>', 'only runs that this machine took')
    .option('--kv-heads <N>', 'only runs of a model with so many K/V heads', wholeNumber(1))
    .option('--attention-kind <KIND>', `only runs of ${attentionKinds.join(', ')}`, oneOf(attentionKinds))
    .option('--since <WHEN>', 'only runs queued from then on: 2026-11-01, or 7d, 12h ago', moment())
    .option('--until <WHEN>', 'only runs queued before then', moment())
}

/** What GraphQL is asked for; nothing where nothing was given. */
export function filterOf(options: FilterOptions): RunFilter {
  const { status, kind, model, text, label, device, host, kvHeads, attentionKind, since, until } = options
  return {
    ...(status === undefined ? {} : { status: [status] }),
    ...(kind === undefined ? {} : { kind }),
    ...(model === undefined ? {} : { model }),
    ...(text === undefined ? {} : { text }),
    ...(label === undefined ? {} : { labels: label }),
    ...(device === undefined ? {} : { device }),
    ...(host === undefined ? {} : { hostname: host }),
    ...(kvHeads === undefined ? {} : { kvHeads }),
    ...(attentionKind === undefined ? {} : { attentionKind }),
    ...(since === undefined ? {} : { queuedAfter: since.toISOString() }),
    ...(until === undefined ? {} : { queuedBefore: until.toISOString() }),
  }
}

const lengths = { m: 60e3, h: 3_600e3, d: 86_400e3, w: 604_800e3 } as const

/** A span such as `30d`, `12h` or `2w` in milliseconds; a bare number counts days. Null where it is none. */
export function parseSpan(text: string): number | null {
  const [, digits, unit = 'd'] = /^(\d+(?:\.\d+)?)\s*([mhdw])?$/.exec(text.trim()) ?? []
  if (digits === undefined) return null
  return Number(digits) * lengths[unit as keyof typeof lengths]
}

/** A date or a time in ISO 8601, or how long ago, for commander. */
function moment(now: () => number = Date.now): (text: string) => Date {
  return (text) => {
    const span = /[mhdw]$/.test(text.trim()) ? parseSpan(text) : null
    const at = span === null ? Date.parse(text) : now() - span
    if (!/^\d/.test(text) || !Number.isFinite(at))
      throw new InvalidArgumentError(`${text} is neither a date such as 2026-11-01 nor a span such as 7d or 12h.`)
    return new Date(at)
  }
}
