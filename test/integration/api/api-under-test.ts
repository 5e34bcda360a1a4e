import { afterAll } from 'vitest'
import { type Api, startApi } from '../../../src/api/main.ts'
import { readConfig } from '../../../src/config.ts'

export interface Answer {
  status: number
  headers: Headers
  data: unknown
  errors: { message: string; path?: string[]; extensions: { code: string; hint?: string } }[] | undefined
}

export interface ApiUnderTest extends Api {
  request(query: string, variables?: object, headers?: Record<string, string>): Promise<Answer>
}

/** An API instance in this process on a free port, closed after the block's tests. Sweeps only when told to. */
export async function startTestApi(
  databaseUrl: string,
  environment: Record<string, string> = {},
): Promise<ApiUnderTest> {
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

/** The part of an answer's data at a path such as `runs.nodes.0.id`. */
export function at(answer: Answer, path: string): unknown {
  const found = path.split('.').reduce((value: unknown, key) => Object(value)[key], answer.data)
  if (found === undefined) throw new Error(`nothing at ${path}: ${JSON.stringify(answer.errors ?? answer.data)}`)
  return found
}

export function textAt(answer: Answer, path: string): string {
  return String(at(answer, path))
}

/** The code of the only error. */
export function codeOf(answer: Answer): string | undefined {
  return answer.errors?.length === 1 ? answer.errors[0]?.extensions.code : undefined
}
