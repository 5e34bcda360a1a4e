import type { ApolloServerPlugin } from '@apollo/server'
import type { GraphQLSchema } from 'graphql'
import { AppError } from '../errors.ts'
import type { RequestContext } from './context.ts'
import { toGraphQLError } from './format-error.ts'
import { checkRequestLimits } from './limits.ts'

/** Refuses subscriptions and what asks for too much, once it is known which operation with which variables is meant. */
export function limitsPlugin(schema: GraphQLSchema): ApolloServerPlugin<RequestContext> {
  return {
    async requestDidStart() {
      return {
        async didResolveOperation({ document, operation, request }) {
          try {
            if (operation?.operation === 'subscription') throw subscriptionOverHttp()
            if (operation) checkRequestLimits(schema, document, operation, request.variables ?? {})
          } catch (error) {
            throw error instanceof AppError ? toGraphQLError(error, 400) : error
          }
        },
      }
    },
  }
}

/**
 * GraphQL over HTTP: under `application/json` the answer to a well-formed HTTP request has status 200 even when the
 * document is faulty, since proxies may answer with 4xx of their own. Apollo sends 400 there.
 */
export function httpStatusPlugin(): ApolloServerPlugin<RequestContext> {
  return {
    async requestDidStart() {
      return {
        async willSendResponse({ request, response }) {
          const accept = request.http?.headers.get('accept') ?? ''
          if (response.http.status !== 400 || accept.includes('application/graphql-response+json')) return
          if (response.body.kind !== 'single') return
          const errors = response.body.singleResult.errors ?? []
          const aboutTheDocument = errors.every((error) => error.extensions?.code === 'VALIDATION_FAILED')
          if (request.query !== undefined && aboutTheDocument) response.http.status = 200
        },
      }
    },
  }
}

function subscriptionOverHttp(): AppError {
  return new AppError(
    'VALIDATION_FAILED',
    'a subscription was sent over HTTP',
    'Send it over WebSocket (graphql-transport-ws) to the same address.',
  )
}
