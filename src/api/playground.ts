import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { RequestHandler } from 'express'
import type { Services } from './context.ts'
import { emptyExampleValues, newestExampleValues } from './example-values.ts'
import { fillExamples, readExamples, type SavedExample } from './examples.ts'

const compress = promisify(gzip)

interface Page {
  tabs: string
  gzipped: Buffer
  policy: string
}

/**
 * The playground for browsers at GET /graphql: GraphiQL in one page that asks nobody else for anything, with every
 * saved example as a tab. Whoever asks for anything but HTML is none of its business. GraphiQL keeps the query being
 * edited in the address, which makes no difference here.
 */
export function servePlayground(services: Services): RequestHandler {
  let last: Promise<Page> | null = null
  return async (request, response, next) => {
    if (request.accepts(['json', 'html']) !== 'html') return next()
    const examples = await readExamples()
    // Where tokens are asked for the page may be seen without one, so it must tell nothing of what is stored.
    const guarded = services.config.tokens.length > 0
    const values = guarded ? emptyExampleValues : await newestExampleValues(services.db)
    const filled = fillExamples(examples, values)
    const tabs = JSON.stringify(filled)
    if (last === null || (await last).tabs !== tabs) last = render(filled, tabs)
    const page = await last
    response.set({
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Encoding': 'gzip',
      // Not every browser takes 'self' for the WebSocket of the same host. The name was checked before.
      'Content-Security-Policy': `${page.policy}; connect-src 'self' ws://${request.headers.host} wss://${request.headers.host}`,
      Vary: 'Accept',
    })
    response.send(page.gzipped)
  }
}

async function render(examples: readonly SavedExample[], tabs: string): Promise<Page> {
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql') // 9 MB: read when first asked for
  const html = renderGraphiQL({
    title: 'kvscope playground',
    endpoint: '/graphql',
    subscriptionsProtocol: 'WS',
    defaultTabs: examples.map(({ query, variables }) => ({ query, variables })),
    defaultEditorToolsVisibility: 'variables',
    schemaDescription: true,
  })
  return { tabs, gzipped: await compress(html), policy: contentSecurityPolicy(html) }
}

/** The page's own scripts by their hashes and its workers from blobs; where it may connect to is the request's. */
function contentSecurityPolicy(html: string): string {
  const scripts = [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(([, script = '']) => {
    return `'sha256-${createHash('sha256').update(script).digest('base64')}'`
  })
  return [
    "default-src 'none'",
    `script-src ${scripts.join(' ')} blob:`,
    'worker-src blob:',
    "style-src 'unsafe-inline'",
    'img-src data:',
    'font-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}
