import { type IncomingHttpHeaders, request } from 'node:http'

export interface RawAnswer {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
}

export interface RawRequest {
  method?: string
  path: string
  headers?: Record<string, string>
  body?: string
}

/** One request with exactly these headers, Host included, which fetch would not let us choose. */
export function rawRequest(port: number, { method = 'GET', path, headers = {}, body }: RawRequest): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) })
      })
    })
    sent.on('upgrade', (response, socket) => {
      socket.destroy()
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.alloc(0) })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** The same as a GraphQL POST. */
export function rawPost(port: number, body: string, headers: Record<string, string> = {}): Promise<RawAnswer> {
  const all = { 'content-type': 'application/json', ...headers }
  return rawRequest(port, { method: 'POST', path: '/graphql', headers: all, body })
}

export function codesOf({ body }: RawAnswer): string[] {
  const { errors = [] }: { errors?: { extensions: { code: string } }[] } = JSON.parse(body.toString())
  return errors.map((error) => error.extensions.code)
}
