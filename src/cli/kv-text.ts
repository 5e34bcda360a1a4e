import type { KvCacheReport } from '../architecture/kv-bytes.ts'
import type { Factor } from '../architecture/kv-factors.ts'
import { layerRanges } from '../architecture/layer-ranges.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import type { Style } from '../render/style.ts'
import { tableToText, wrap } from '../render/table.ts'
import { formatBytes, formatInteger, formatRatio } from '../render/units.ts'

export interface KvCircumstances {
  contextLength: number
  batch: number
  tensorParallel: number
  memory?: number
}

const width = 80

/** `kvscope kv` in 80 columns: the products first, so that they can be checked by hand. */
export function kvText(config: ModelConfig, report: KvCacheReport, asked: KvCircumstances, style: Style): string {
  const { tensorParallel } = asked
  const devices = tensorParallel > 1 ? ` over ${tensorParallel} devices` : ''
  const lines = [
    style.accent(`${formatBytes(report.bytes)}${devices}`),
    `${formatInteger(report.bytesPerToken)} bytes for each token of each sequence${isCapped(report) ? ', until windows are full' : ''}`,
  ]
  if (tensorParallel > 1) lines.push(`${formatBytes(report.bytesPerDevice)} on the device that keeps most`)
  return [
    `${style.bold(config.name)}  ${report.kind}, ${config.layers} layers, ${config.heads} query heads`,
    `${productTexts(report, style).join('\n\n')}\n${lines.join('\n')}`,
    fitText(report, asked, style),
    asKindsText(report, style),
  ]
    .filter((part) => part !== null)
    .join('\n\n')
}

const isCapped = ({ layers }: KvCacheReport) => layers.some((group) => group.window !== null)

const shownValue = ({ value }: Factor) => (Number.isInteger(value) ? formatInteger(value) : `${value}`)

const product = (factors: readonly Factor[], bytes: number) =>
  `${factors.map(shownValue).join(' x ')} = ${formatInteger(bytes)} bytes`

/** One table of factors; where layers differ one for each kind of layer, and the sum. */
function productTexts(report: KvCacheReport, style: Style): string[] {
  const { products, bytes } = report
  const parts = products.flatMap(({ layers, factors, bytes: ofLayers }) => {
    const title = products.length > 1 ? [style.bold(`layers ${layerRanges(layers)}`)] : []
    return [[...title, factorsText(factors, style)].join('\n'), product(factors, ofLayers)]
  })
  if (products.length === 1) return parts
  return [...parts, `${products.map((one) => formatInteger(one.bytes)).join(' + ')} = ${formatInteger(bytes)} bytes`]
}

function factorsText(factors: readonly Factor[], style: Style): string {
  return tableToText(
    {
      columns: [{ title: 'factor' }, { title: 'value', align: 'right' }],
      rows: factors.map((factor) => [factor.name, shownValue(factor)]),
    },
    { head: style.bold, width },
  )
}

function fitText(report: KvCacheReport, asked: KvCircumstances, style: Style): string | null {
  const { sequencesThatFit, fits, longestThatFits } = report
  const { memory, batch, tensorParallel } = asked
  if (sequencesThatFit === null || memory === undefined) return null
  const beside = `beside ${formatBytes(report.weightBytes / tensorParallel)} of weights`
  const sequences = batch === 1 ? 'One sequence' : `${formatInteger(batch)} sequences`
  const longest =
    longestThatFits === 0
      ? `${sequences} of even one token: not beside these weights.`
      : `${sequences} may have up to ${formatInteger(longestThatFits ?? 0)} tokens${batch === 1 ? '' : ' each'}.`
  const said = wrap(
    `${formatInteger(sequencesThatFit)} sequences fit a device of ${formatBytes(memory)} ${beside}. ${longest}`,
    width,
  ).join('\n')
  if (longestThatFits === 0) return said
  const table = tableToText(
    {
      columns: [
        { title: 'tokens each', align: 'right' },
        { title: 'sequences that fit', align: 'right' },
      ],
      rows: fits.map((fit) => [formatInteger(fit.contextLength), formatInteger(fit.sequences)]),
    },
    { head: style.bold, width },
  )
  return `${said}\n\n${table}`
}

function asKindsText({ asKinds }: KvCacheReport, style: Style): string {
  const table = tableToText(
    {
      columns: [
        { title: 'the same model as' },
        { title: 'bytes', align: 'right' },
        { title: 'times its own', align: 'right' },
      ],
      rows: asKinds.map((as) => [as.label, formatBytes(as.bytes), formatRatio(as.ratio, null)]),
    },
    { head: style.bold, width },
  )
  const same =
    '"The same": layers, query heads, head dims and windows stay, and what is cached of K and V changes. Each would be another model, trained anew or converted.'
  return [table, ...wrap(same, width).map((line) => style.dim(line))].join('\n')
}
