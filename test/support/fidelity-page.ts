import type { ErrorShares, PlacedCase } from './golden.ts'
import type { Seen } from './mutated-blocks.ts'

/** What a run of the goldens found of one case. */
export interface FidelityRow {
  golden: PlacedCase
  seen: Seen
  /** of every way that the tokens were given */
  errors: ErrorShares[]
  mutations: { sentence: string; error: number; least: number }[]
  /** ways in which transformers itself computes something else than in one piece */
  ownWays: string[]
}

/** Where the page lies. */
export const fidelityPage = 'docs/fidelity.md'

/** The page, from a whole run. */
export function describeFidelity(rows: readonly FidelityRow[], versions: string): string {
  const families = new Set(rows.map(({ seen }) => seen.config.family))
  return `# Fidelity

Made by \`npm run fidelity\` from the run of \`test/golden/families.test.ts\`, which fails where this page is stale.

Each family runs tiny random checkpoints, spelled and laid out as its files on the hub are, and is held to what Hugging Face transformers computes of the same files (${versions}): the logits of every position, the attention of every head, and what the cache holds. It does so with the tokens in one piece, in three chunks, token by token, and in a batch of two sequences of different lengths, the shorter one filled up behind. ${rows.length} cases of ${families.size} families, scores of a row at least 4 apart from their mean.

**The bound is 1e-5** of a tensor's largest magnitude, for every part, way and case. kvscope computes in float32.

**The oracle computes in float64 throughout.** transformers turns to float32 inside norms, softmax, rotary angles and routers, even in a float64 model; \`tools/oracle/float64.py\` makes every such request mean float64, and stops where a float32 tensor turns up all the same. Left as they are: what a model rounds to 16 bits on purpose (Falcon's ALiBi, bfloat16). Falcon's probabilities are read past a second ALiBi that transformers ${versions.split(' ').at(-1) ?? ''} adds where it returns them (\`tools/oracle/falcon_cases.py\`).

## Errors

The largest difference as a share of the tensor's largest magnitude, over all ways and layers, rounded up. Of layers with a window, keys and values are those that the ring still holds.

In brackets what transformers itself makes of the same when it computes in float32, the model and all within it, against its own float64: the part of an error that is float32's and nobody's fault.

| checkpoint | what it is | logits | attention | cache |
|---|---|---|---|---|
${rows.map(errorLine).join('\n')}

${exceptions(rows)}
## What each golden would not forgive

Every case also runs with our own code wrong in one way at a time; what a model asks the shared blocks for decides in which. The smallest error over the cases, of the logits, or of logits and attention where both have to be wrong, rounded down; and what it has to be at least, a thousand times the bound but for a few finer differences.

| wrong on purpose | families | smallest error | at least |
|---|---|---|---|
${mutationLines(rows).join('\n')}
`
}

function errorLine({ golden, seen, errors }: FidelityRow): string {
  const worst = (...parts: (keyof ErrorShares)[]) =>
    up(Math.max(...errors.flatMap((of) => parts.map((part) => of[part]))))
  const name = golden.kvHeads === null ? golden.name : `${golden.name}, ${golden.kvHeads} K/V`
  return `| ${name} | ${describeModel(golden, seen)} | ${worst('logits')} (${up(golden.float32.logits)}) | ${worst('attention')} (${up(golden.float32.attention)}) | ${worst('keys', 'values')} (${up(golden.float32.cache)}) |`
}

function describeModel(
  golden: PlacedCase,
  { config, attention, latents, biased, capped, tables, positions, experts, turned, norms, biases }: Seen,
): string {
  const [spec, latent] = [attention[0], latents[0]]
  const heads = spec
    ? `${spec.heads} heads over ${spec.kvHeads} of ${spec.keyDim}`
    : `${latent?.heads} heads over a latent of ${latent?.rank} + ${latent?.ropeDim}`
  const windows = golden.windows.some((window) => window !== null)
    ? [`windows ${golden.windows.map((window) => window ?? 'all').join(' ')}`]
    : []
  const rotary = [
    ...new Set(
      tables.map(({ width, theta, scaling }) => {
        const part = width < config.headDim && !latent ? `${width} of ${config.headDim} values` : 'rotary'
        return `${part}${scaling ? `, ${scaling.type}` : ''}, base ${theta}`
      }),
    ),
  ]
  const experted = experts.flatMap(({ router, shared }) => [
    `${router.chosen} of ${router.experts} experts by ${router.scores}${router.groups ? ` in ${router.groups.chosen} of ${router.groups.count} groups` : ''}${shared ? ' and shared ones' : ''}`,
  ])
  const normed = [...norms.keys()].filter((role) => /^[qk]_norm$/.test(role)).length > 0
  const caps = [
    ...(attention.some(({ softCap }) => softCap !== undefined) ? ['scores'] : []),
    ...(capped ? ['logits'] : []),
  ]
  return [
    `${config.layers} layers, ${heads}`,
    ...windows,
    ...(biased ? ['ALiBi'] : []),
    ...(positions ? ['learned positions'] : []),
    ...(turned === null ? [] : rotary),
    ...(normed ? ['norms of queries and keys'] : []),
    ...(caps.length > 0 ? [`caps on ${caps.join(' and ')}`] : []),
    ...new Set(experted),
    ...(biases.size > 0 ? [`biases of ${[...biases].sort().join(', ')}`] : []),
  ].join('; ')
}

function exceptions(rows: readonly FidelityRow[]): string {
  const own = rows.filter(({ ownWays }) => ownWays.length > 0)
  if (own.length === 0) return ''
  return `Where the rotary base follows the length, transformers itself computes something else of a prompt in pieces than of the whole, since what is cached stays as it was turned. There each way is held to what transformers computes that same way: ${own.map(({ golden, ownWays }) => `${golden.name} (${ownWays.join(', ')})`).join('; ')}.\n`
}

function mutationLines(rows: readonly FidelityRow[]): string[] {
  const found = new Map<string, { families: Set<string>; error: number; least: number }>()
  for (const { seen, mutations } of rows) {
    for (const { sentence, error, least } of mutations) {
      const entry = found.get(sentence) ?? { families: new Set(), error: Number.POSITIVE_INFINITY, least }
      entry.families.add(seen.config.family)
      entry.error = Math.min(entry.error, error)
      found.set(sentence, entry)
    }
  }
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([sentence, { families, error, least }]) => {
      const columns = [sentence, [...families].sort().join(', '), percent(error), percent(least)]
      return `| ${columns.join(' | ')} |`
    })
}

/** One significant digit, rounded up: 4e-7. */
function up(value: number): string {
  const power = Math.floor(Math.log10(value || Number.MIN_VALUE))
  const digit = Math.ceil(Number((value / 10 ** power).toPrecision(6)))
  return digit === 10 ? `1e${power + 1}` : `${digit}e${power}`
}

/** One significant digit of a percentage, rounded down. */
function percent(share: number): string {
  const value = Number((100 * share).toPrecision(6))
  const power = 10 ** Math.floor(Math.log10(value))
  return `${Number((Math.floor(value / power) * power).toPrecision(1))} %`
}

const figure = /\b\d+e-\d+\b|\b[\d.]+ %/g
/** Another processor sums in another order: figures may be this many times larger or smaller before a page is stale. */
const slack = 10

/** What of a page is no longer so: everything but its figures word for word, and figures beyond the slack. */
export function staleLines(page: string, made: string): string[] {
  const [old, fresh] = [page.split('\n'), made.split('\n')]
  const differ = (a: string, b: string) => {
    if (a.replaceAll(figure, '#') !== b.replaceAll(figure, '#')) return true
    const [were, are] = [a.match(figure) ?? [], b.match(figure) ?? []]
    return were.some((text, index) => {
      const [was, is] = [Number.parseFloat(text), Number.parseFloat(are[index] ?? '')]
      return !(is <= was * slack && was <= is * slack)
    })
  }
  return Array.from({ length: Math.max(old.length, fresh.length) }, (_, line) => line)
    .filter((line) => differ(old[line] ?? '', fresh[line] ?? ''))
    .map((line) => `${line + 1}: ${fresh[line] ?? '(no longer there)'}`)
}
