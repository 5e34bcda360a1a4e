import { createServer, type Server } from 'node:http'
import { ApolloServer } from '@apollo/server'
import { ApolloServerPluginDrainHttpServer } from '@apollo/server/plugin/drainHttpServer'
import { expressMiddleware } from '@as-integrations/express5'
import express, { type Express } from 'express'
import type { GraphQLSchema } from 'graphql'
import { createRequestContext, type RequestContext, type Services } from './context.ts'
import { serveRunFiles } from './files/run-files.ts'
import { formatError } from './format-error.ts'
import { readiness } from './health.ts'
import { answerErrors, answerUnknownPaths, logRequests, refuseForeignPages, securityHeaders } from './http-guards.ts'
import { httpStatusPlugin, limitsPlugin } from './http-status.ts'
import { requestLimits } from './limits.ts'
import { servePlayground } from './playground.ts'
import { createSchema } from './schema.ts'
import { authenticate, bearerSecret } from './tokens.ts'
import { serveSubscriptions } from './websocket.ts'

const drainMs = 4000

export interface ApiServer {
  httpServer: Server
  /** Ends subscriptions, lets requests in flight finish, and cuts off what has not ended after four seconds. */
  close(): Promise<void>
}

/** GraphQL over HTTP and WebSocket, the playground, files of runs and the two health addresses, not yet listening. */
export async function createApiServer(services: Services): Promise<ApiServer> {
  const { config, log } = services
  const schema = createSchema()
  const app = express()
  const httpServer = createServer(app)
  const subscriptions = serveSubscriptions(httpServer, schema, services)
  const apollo = await startApollo(schema, httpServer, services)
  const files = serveRunFiles({ ...services, schema })

  app.disable('x-powered-by')
  app.use(logRequests(log), securityHeaders, refuseForeignPages(config))
  serveHealth(app, services)
  app.get('/', (_request, response) => response.redirect('/graphql'))
  app.get('/graphql', servePlayground(services))
  app.use(
    '/graphql',
    (request, response, next) => {
      response.locals.caller = authenticate(config.tokens, bearerSecret(request.headers.authorization))
      next()
    },
    express.json({ limit: requestLimits.bodyBytes }),
    expressMiddleware(apollo, {
      context: async ({ res }) => createRequestContext(services, res.locals.caller),
    }),
  )
  app.use('/runs', files.router)
  app.use('/trends', files.trends)
  app.use(answerUnknownPaths, answerErrors(log))

  return {
    httpServer,
    async close() {
      await Promise.all([subscriptions.close(drainMs), apollo.stop()])
      await files.close()
    },
  }
}

async function startApollo(schema: GraphQLSchema, httpServer: Server, { log }: Services) {
  const apollo = new ApolloServer<RequestContext>({
    schema,
    csrfPrevention: true,
    introspection: true,
    persistedQueries: false,
    allowBatchedHttpRequests: false,
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false,
    parseOptions: { maxTokens: requestLimits.tokens },
    formatError: (_formatted, error) => formatError(error, log),
    logger: log,
    plugins: [
      limitsPlugin(schema),
      httpStatusPlugin(),
      ApolloServerPluginDrainHttpServer({ httpServer, stopGracePeriodMillis: drainMs }),
    ],
  })
  await apollo.start()
  return apollo
}

/** `/healthz`: this process answers. `/readyz`: work that is asked for now will be done. Both without a token. */
function serveHealth(app: Express, services: Services): void {
  app.get('/healthz', (_request, response) => {
    response.json({ ok: true })
  })
  app.get('/readyz', async (_request, response) => {
    const { ready, missing } = await readiness(services)
    response.status(ready ? 200 : 503).json({ ready, missing })
  })
}
