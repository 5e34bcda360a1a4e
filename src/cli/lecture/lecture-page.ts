import type { LectureClaim } from '../../architecture/lecture-facts.ts'
import type { ReportBlock, ReportRun } from '../../render/report.ts'
import type { BenchmarkRun } from '../benchmark-run.ts'
import type { ApiClient } from '../client.ts'
import { reportBenchmark } from '../report-benchmark.ts'
import { fetchPicture } from '../report-picture.ts'
import { leadOf, noticesOf, provenanceOf } from '../report-provenance.ts'
import { reportSweep } from '../report-sweep.ts'
import { lectureNotes, lectureTable } from './cache-table.ts'
import { claimsCount, verdictText } from './claims-text.ts'
import {
  asItShouldBeFindings,
  asItWasFindings,
  headFindings,
  honestPairFindings,
  methodWarnings,
  misreadMatrices,
} from './findings.ts'
import type { ModelHeads, Replay } from './replay.ts'

/** The lecture on one page: its claims, its experiment as it was and as it should be, the honest pair, the heads. */
export async function lecturePage(
  client: ApiClient,
  claims: readonly LectureClaim[],
  replay: Replay,
): Promise<ReportRun[]> {
  const { asItWas, asItShouldBe, honestPair, models } = replay
  const sections: ReportRun[] = [
    claimsSection(claims),
    benchmarkSection('2. The experiment as it was', asItWas, [
      { of: 'list', items: asItWasFindings(asItWas) },
      methodTable(asItWas),
    ]),
    benchmarkSection('3. The same two models as they should be timed', asItShouldBe, [
      { of: 'list', items: asItShouldBeFindings(asItShouldBe) },
    ]),
    benchmarkSection('4. The honest pair: one model, its K/V heads pooled into one', honestPair, [
      { of: 'list', items: honestPairFindings(honestPair) },
      cacheShareTable(honestPair),
      ...(await reportSweep(client, honestPair)),
    ]),
  ]
  for (const [index, model] of models.entries()) sections.push(await headsSection(client, 5 + index, model))
  return sections
}

function claimsSection(claims: readonly LectureClaim[]): ReportRun {
  return {
    id: 'claims',
    title: '1. What the lecture says, recomputed',
    lead: [claimsCount(claims)],
    notices: [],
    blocks: [
      {
        of: 'table',
        table: {
          columns: [{ title: 'verdict' }, { title: 'claim' }, { title: 'recomputed' }, { title: 'see it with' }],
          rows: claims.map(({ claim, assumption, verdict, recomputed, seeItWith }) => [
            verdictText(verdict),
            `“${claim}”`,
            assumption === null ? recomputed : `If ${assumption}: ${recomputed}`,
            seeItWith,
          ]),
        },
      },
      { of: 'heading', text: 'The table of KV caches as it stands' },
      {
        of: 'table',
        table: lectureTable(),
        caption:
          'layers x K/V heads x head dim x tokens x 2 (K and V) x 2 bytes; MLA: layers x latent x tokens x 2 bytes',
      },
      { of: 'list', items: lectureNotes() },
    ],
  }
}

function benchmarkSection(title: string, run: BenchmarkRun, blocks: readonly ReportBlock[]): ReportRun {
  return {
    id: run.id,
    title,
    lead: leadOf(run),
    notices: noticesOf(run),
    blocks: withoutEmptyHeadings([...blocks, ...reportBenchmark(run), ...provenanceOf(run)]),
  }
}

/** One trial each has no picture, and models without a decode no conclusion. */
function withoutEmptyHeadings(blocks: readonly ReportBlock[]): ReportBlock[] {
  const shown = blocks.filter((block) => block.of !== 'list' || block.items.length > 0)
  return shown.filter(({ of }, index) => of !== 'heading' || (shown[index + 1]?.of ?? 'heading') !== 'heading')
}

function methodTable(run: BenchmarkRun): ReportBlock {
  return {
    of: 'table',
    caption: 'What kvscope says of this way of measuring',
    table: {
      columns: [{ title: 'warning' }, { title: 'seen' }, { title: 'what to do' }],
      rows: methodWarnings(run).map(({ code, message, advice }) => [code, message, advice]),
    },
  }
}

function cacheShareTable(run: BenchmarkRun): ReportBlock {
  const right = { align: 'right' } as const
  const decodes = run.series.filter(({ phase }) => phase === 'DECODE').toSorted((a, b) => a.depth - b.depth)
  const percent = (share: number | null) => (share === null ? '–' : `${(100 * share).toFixed(1)}\u00a0%`)
  return {
    of: 'table',
    caption: 'How much of the bytes that a step reads is K/V cache, and how near the time comes to what memory allows',
    table: {
      columns: [
        { title: 'depth', ...right },
        { title: 'model' },
        { title: 'K/V share of bytes', ...right },
        { title: 'share of the bandwidth bound', ...right },
      ],
      rows: decodes.map(({ depth, subject, kvShareOfBytes, shareOfBandwidthBound }) => [
        String(depth),
        subject.name,
        percent(kvShareOfBytes),
        percent(shareOfBandwidthBound),
      ]),
    },
  }
}

async function headsSection(client: ApiClient, number: number, model: ModelHeads): Promise<ReportRun> {
  const { name, weights, attention } = model
  const [subject] = weights.subjects
  const pictures: ReportBlock[] = []
  for (const { projection, gridUrl } of weights.compared) {
    if (projection === 'Q') continue
    pictures.push(await fetchPicture(client, gridUrl, `W_${projection} of layer 0: every matrix that is stored, once.`))
  }
  for (const { takenFor, rows, really } of subject === undefined ? [] : misreadMatrices(subject)) {
    const slice = weights.slices.find(
      ({ projection, head, layer }) => layer === 0 && projection === really.projection && head === really.head,
    )
    if (slice === undefined) continue
    const caption = `What a reader in MQA's layout shows ${subject?.model.heads ?? 0} times as "the shared ${takenFor}": rows ${rows[0]} to ${rows[1]}, which are head ${really.head}'s W_${really.projection}.`
    pictures.push(await fetchPicture(client, slice.imageUrl, caption))
  }
  const maps = attention.recorded.find(({ prompt }) => prompt === 0)
  if (maps !== undefined) {
    pictures.push(await fetchPicture(client, maps.gridUrl, "The last layer over the lecture's prompt, every head."))
  }
  return {
    id: weights.id,
    title: `${number}. The heads of ${name}`,
    lead: [...leadOf(weights), ...leadOf(attention)],
    notices: noticesOf(weights),
    blocks: [{ of: 'list', items: headFindings(model) }, ...pictures, ...provenanceOf(weights)],
  }
}
