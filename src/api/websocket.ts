import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type ExecutionArgs, GraphQLError, type GraphQLSchema, getOperationAST, parse, validate } from 'graphql'
import { useServer } from 'graphql-ws/use/ws'
import { WebSocketServer } from 'ws'
import { AppError } from '../errors.ts'
import { createRequestContext, type Services } from './context.ts'
import { formatError, toPublicError } from './format-error.ts'
import { hostAllowed, originAllowed } from './hosts.ts'
import { checkRequestLimits, requestLimits } from './limits.ts'
import { authenticate, type Caller, connectionSecret } from './tokens.ts'

/** Close code of a socket whose connectionParams carry no valid token. */
const unauthenticated = 4401

/**
 * Subscriptions over WebSocket (graphql-transport-ws) on the HTTP server's own port. Browsers let any page open a
 * socket to any host and graphql-ws does not ask where it comes from, so Host and Origin are checked at the upgrade,
 * and only subscriptions, which change nothing, are served here.
 */
export function serveSubscriptions(httpServer: Server, schema: GraphQLSchema, services: Services) {
  const { config, log } = services
  const sockets = new WebSocketServer({ noServer: true, maxPayload: requestLimits.bodyBytes })
  const callers = new WeakMap<object, Caller>()

  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    const { host, origin } = request.headers
    if (!hostAllowed(host, config) || !originAllowed(origin, host)) return refuse(socket, '403 Forbidden')
    if (!/^\/graphql\/?(\?|$)/.test(request.url ?? '')) return refuse(socket, '404 Not Found')
    sockets.handleUpgrade(request, socket, head, (accepted) => sockets.emit('connection', accepted, request))
  }
  httpServer.on('upgrade', onUpgrade)

  const server = useServer(
    {
      schema,
      onConnect(ctx) {
        try {
          callers.set(ctx.extra, authenticate(config.tokens, connectionSecret(ctx.connectionParams)))
          return true
        } catch (error) {
          const { code, message } = toPublicError(error, log)
          ctx.extra.socket.close(unauthenticated, `${code}: ${message}`.slice(0, 120))
          return false
        }
      },
      onSubscribe(ctx, _id, { query, operationName, variables }) {
        const open = Object.keys(ctx.subscriptions).length
        const caller = callers.get(ctx.extra) ?? null
        try {
          if (open > requestLimits.subscriptionsPerSocket) throw tooManySubscriptions()
          return prepare(schema, query, operationName ?? null, variables ?? {}, createRequestContext(services, caller))
        } catch (error) {
          return [error instanceof GraphQLError ? error : new GraphQLError('', { originalError: asError(error) })]
        }
      },
      onError: (_ctx, _id, _payload, errors) => errors.map((error) => formatError(error, log)),
      onNext(_ctx, _id, _payload, _args, { data, errors, extensions }) {
        if (errors === undefined) return
        return {
          ...(data !== undefined && { data }),
          ...(extensions !== undefined && { extensions }),
          errors: errors.map((error) => formatError(error, log)),
        }
      },
    },
    sockets,
  )

  return {
    /** Tells clients to go, ends all subscriptions, and cuts off after `graceMs` whoever does not answer. */
    async close(graceMs: number): Promise<void> {
      httpServer.off('upgrade', onUpgrade)
      const cut = setTimeout(() => {
        for (const socket of sockets.clients) socket.terminate()
      }, graceMs)
      await server.dispose()
      clearTimeout(cut)
    },
  }
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

function prepare(
  schema: GraphQLSchema,
  query: string,
  operationName: string | null,
  variables: Record<string, unknown>,
  contextValue: object,
): ExecutionArgs | readonly GraphQLError[] {
  const document = parse(query, { maxTokens: requestLimits.tokens })
  const errors = validate(schema, document)
  if (errors.length > 0) return errors
  const operation = getOperationAST(document, operationName)
  if (!operation) return [new GraphQLError('the document holds several operations, or none of that name')]
  if (operation.operation !== 'subscription') {
    throw new AppError(
      'VALIDATION_FAILED',
      `a ${operation.operation} was sent over WebSocket, where only subscriptions are served`,
      'Send queries and mutations as HTTP POST to /graphql.',
    )
  }
  checkRequestLimits(schema, document, operation, variables)
  return { schema, document, operationName, variableValues: variables, contextValue }
}

function tooManySubscriptions(): AppError {
  return new AppError(
    'LIMIT_EXCEEDED',
    `more than ${requestLimits.subscriptionsPerSocket} subscriptions are open on this socket`,
    'Close some, or open another socket.',
  )
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
