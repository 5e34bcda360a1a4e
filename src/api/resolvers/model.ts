import type { LayerAttentionResolvers, ModelResolvers, PresetResolvers } from '../../generated/graphql.ts'

export const model: ModelResolvers = {
  kvBytesPerToken: ({ kvBytesPerToken }, { dtype }) => kvBytesPerToken[dtype ?? 'F16'],
  parameterParts: ({ parameterParts }) => parameterParts ?? [],
}

export const layerAttention: LayerAttentionResolvers = {
  kvBytesPerToken: ({ kvBytesPerToken }, { dtype }) => kvBytesPerToken[dtype ?? 'F16'],
}

export const preset: PresetResolvers = {
  model: ({ facts }) => facts,
}
