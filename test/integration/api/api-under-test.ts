import { afterAll } from 'vitest'
import { type Api, startApi } from '../../../src/api/main.ts'
import { readConfig } from '../../../src/config.ts'

export interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: what a test asserts on is its own to know
  data: any
  errors: { message: string; path?: string[]; extensions: { code: string; hint?: string } }[] | undefined
}

export interface ApiUnderTest extends Api {
  request(query: string, variables?: object, headers?: Record<string, string>): Promise<Answer>
}

/** An API instance in this process on a free port, closed after the block's tests. Sweeps only when told to. */
export async function startTestApi(databaseUrl: string, environment: Record<string, string> = {}): Promise<ApiUnderTest> {
  const config = readConfig({ PORT: '0', KVSCOPE_SWEEP_SECONDS: '3600', KVSCOPE_LOG_LEVEL: 'silent', ...environment })
  const api = await startApi(config, databaseUrl)
  afterAll(() => api.close())
  return { ...api, request: (query, variables, headers) => request(api.address, query, variables, headers) }
}

export async function request(
  address: string,
  query: string,
  variables: object = {},
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${address}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
  })
  const { data, errors } = await response.json()
  return { status: response.status, headers: response.headers, data, errors }
}
