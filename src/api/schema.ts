import { readFileSync } from 'node:fs'
import { makeExecutableSchema } from '@graphql-tools/schema'
import type { GraphQLSchema } from 'graphql'
import { packageFile } from '../package-folder.ts'
import { resolvers } from './resolvers/resolvers.ts'

const typeDefs = readFileSync(packageFile('src/schema.graphql'), 'utf8')

/** The public schema with its resolvers. */
export function createSchema(): GraphQLSchema {
  return makeExecutableSchema({
    typeDefs,
    resolvers,
    resolverValidationOptions: { requireResolversToMatchSchema: 'error', requireResolversForResolveType: 'error' },
  })
}
