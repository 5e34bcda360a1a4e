import { AppError } from '../errors.ts'
import { RunKindDocument } from '../generated/operations.ts'
import { attentionReport, type PaintedMaps } from './attention-report.ts'
import { fetchAttentionMapsRun, fetchOverview, withProbabilities } from './attention-run.ts'
import { fetchBenchmarkRun } from './benchmark-run.ts'
import { benchText } from './benchmarks/bench-text.ts'
import type { ApiClient } from './client.ts'
import type { JsonOption, Screen } from './terminal.ts'
import { type PaintedWeights, weightReport } from './weight-report.ts'
import { fetchMatrices, fetchWeightSlicesRun, withWeights } from './weight-run.ts'

export interface ShownRun {
  /** what `--json` writes; undefined where nothing asked for it */
  json: unknown
  text: string
}

export interface ShowOptions {
  screen: Screen
  /** whether values are fetched as lists, too */
  json: JsonOption
  /** each head's matrix, whoever shares it */
  perHead?: boolean
}

/**
 * A run of any kind, read through the API: as JSON with everything it holds, and as text for a screen.
 * @throws AppError NOT_FOUND
 */
export async function showRun(client: ApiClient, id: string, options: ShowOptions): Promise<ShownRun> {
  const { run } = await client.request(RunKindDocument, { id })
  switch (run?.kind) {
    case 'BENCHMARK': {
      const benchmark = await fetchBenchmarkRun(client, id)
      return { json: benchmark, text: benchText(benchmark, options.screen.style, { whole: true }) }
    }
    case 'WEIGHT_SLICES':
      return showWeights(client, id, options)
    case 'ATTENTION_MAPS':
      return showAttention(client, id, options)
    case undefined:
      throw new AppError('NOT_FOUND', `No run has the id ${id}`, 'List the runs with: kvscope runs')
  }
}

async function showWeights(client: ApiClient, id: string, { screen, json, perHead }: ShowOptions): Promise<ShownRun> {
  const run = await fetchWeightSlicesRun(client, id)
  const painted: PaintedWeights[] = []
  if (json !== true) {
    for (const of of run.compared) painted.push({ ...of, matrices: await fetchMatrices(client, run, of) })
  }
  return {
    json: json === undefined ? undefined : await withWeights(client, run),
    text: weightReport({ run, painted, perHead: perHead ?? false }, screen),
  }
}

async function showAttention(client: ApiClient, id: string, { screen, json }: ShowOptions): Promise<ShownRun> {
  const run = await fetchAttentionMapsRun(client, id)
  const painted: PaintedMaps[] = []
  if (json !== true) {
    // A screen shows the first prompt; the others are pictures and arrays.
    for (const maps of run.recorded.filter(({ prompt }) => prompt === 0)) {
      if (maps.maps.length > 0) painted.push({ ...maps, overview: await fetchOverview(client, maps) })
    }
  }
  return {
    json: json === undefined ? undefined : await withProbabilities(client, run),
    text: attentionReport({ run, painted }, screen),
  }
}
