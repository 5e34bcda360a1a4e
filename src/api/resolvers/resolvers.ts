import { GraphQLDateTime, GraphQLJSON, GraphQLSafeInt } from 'graphql-scalars'
import type { Resolvers } from '../../generated/graphql.ts'
import { attentionMap, attentionMapsRun, attentionTile, diversity, promptTokens } from './attention-maps.ts'
import { seriesComparison } from './benchmark-comparison.ts'
import { comparison } from './comparison.ts'
import { baseline } from './history.ts'
import { layerAttention, model, preset } from './model.ts'
import { mutation } from './mutation.ts'
import { query, runConnection, worker } from './query.ts'
import { benchmarkRun, runInterface, series, subject, summary } from './run.ts'
import { subscription } from './subscription.ts'
import { headSharing, weightSlice, weightSliceConnection, weightSlicesRun } from './weight-slices.ts'

/** The fields that need more than reading a property of their parent. */
export const resolvers: Resolvers = {
  DateTime: GraphQLDateTime,
  JSON: GraphQLJSON,
  SafeInt: GraphQLSafeInt,
  Query: query,
  Mutation: mutation,
  Subscription: subscription,
  Node: runInterface,
  Run: runInterface,
  Comparison: comparison,
  BenchmarkRun: benchmarkRun,
  RunConnection: runConnection,
  Subject: subject,
  Series: series,
  Summary: summary,
  SeriesComparison: seriesComparison,
  Model: model,
  LayerAttention: layerAttention,
  Preset: preset,
  Worker: worker,
  Baseline: baseline,
  WeightSlicesRun: weightSlicesRun,
  WeightSliceConnection: weightSliceConnection,
  WeightSlice: weightSlice,
  HeadSharing: headSharing,
  AttentionMapsRun: attentionMapsRun,
  PromptTokens: promptTokens,
  AttentionMap: attentionMap,
  AttentionTile: attentionTile,
  Diversity: diversity,
}
