/** Every field of a run that takes no argument but its defaults; a test compares them with the schema. */
export const runDocument = /* GraphQL */ `
  query ExportedRun($id: ID!) {
    run(id: $id) {
      id
      kind
      status
      labels { key value }
      note
      pinned
      spec
      subjects { ...SubjectFields }
      fraction
      queuePosition
      placement { hostname workerId }
      queuedAt
      startedAt
      finishedAt
      attempt
      workerId
      environment {
        hostname cpu cores memoryBytes os node onnxruntime kvscope loadAtStart loadAtEnd timingVersion
        bounds { bytesPerSecond flopsPerSecond threads measuredAt }
      }
      error { code message hint log }
      ... on BenchmarkRun {
        series {
          runId
          ...SeriesName
          promptTokens
          generatedTokens
          depth
          batch
          samples
          summary { ...SummaryFields }
          tokensPerSecond { ...SummaryFields }
          kvCacheBytes
          kvCacheBytesPredicted
          kvCacheBytesAllocated
          peakMemoryBytes
          peakMemoryBytesPredicted
          bytesRead
          kvBytesRead
          kvShareOfBytes
          flops
          shareOfBandwidthBound
          shareOfComputeBound
          predictions { device bytesPerSecond flopsPerSecond milliseconds boundBy source }
          warnings { ...WarningFields }
        }
        keyFigure { ...SeriesName }
        fits {
          subject { index }
          phase
          test
          axis
          fixed { ...EstimateFields }
          slope { ...EstimateFields }
          unit
        }
        chartUrl
        comparison {
          candidateId
          baseline { ...SeriesName }
          candidate { ...SeriesName }
          phase
          test
          ratio
          interval { ...IntervalFields }
          pValue
          minimumDetectable
          verdict
          reasons
        }
        warnings { ...WarningFields }
      }
      ... on WeightSlicesRun {
        warnings { ...WarningFields }
      }
      ... on AttentionMapsRun {
        prompts { index text tokens { position id text generated } }
        layers
        heads
        diversity {
          layer
          heads
          jsDistance
          all { ...EstimateFields }
          withinGroups { ...EstimateFields }
          betweenGroups { ...EstimateFields }
          betweenMinusWithin { ...EstimateFields }
          shuffledBaseline { ...EstimateFields }
          randomWeightsBaseline { ...EstimateFields }
          positionBaseline { ...EstimateFields }
          atPositions { ...EstimateFields }
          alibiBaseline { ...EstimateFields }
          entropy { ...EstimateFields }
          behaviours { head name score { ...EstimateFields } uniform }
        }
        warnings { ...WarningFields }
      }
    }
  }

  fragment SubjectFields on Subject {
    index
    name
    model {
      name family attentionKind layers heads kvHeads keyDim valueDim hiddenSize contextLength vocabularySize parameters
      activeParameters
      parameterParts { name parameters tensors }
      kvBytesPerToken
      layerAttention { layers kind kvHeads window kvBytesPerToken }
      votes { by kind evidence }
      warnings { ...WarningFields }
    }
    dtype
    computeDtype
    kvDtype
    device
    threads
    runtime
    synthetic
    fingerprint
  }

  fragment SeriesName on Series { subject { index } phase test }
  fragment WarningFields on Warning { code message advice }
  fragment IntervalFields on Interval { low high level }
  fragment EstimateFields on Estimate { value interval { ...IntervalFields } }
  fragment SummaryFields on Summary { count median mean standardDeviation minimum maximum interval { ...IntervalFields } }
`
