import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { configVariables } from '../../../src/config.ts'

interface Service {
  image: string
  user?: string
  hostname?: string
  restart?: string
  command?: string[]
  build?: { context: string; target: string }
  environment?: Record<string, string>
  depends_on?: Record<string, { condition: string }>
  healthcheck?: { test: string[] }
  ports?: string[]
  profiles?: string[]
  volumes?: string[]
}

const composeText = readFileSync('docker-compose.yml', 'utf8')
const compose = parse(composeText, { merge: true }) as {
  services: Record<string, Service>
  volumes: Record<string, null>
}
const dockerfile = readFileSync('Dockerfile', 'utf8')
const services = Object.entries(compose.services)
const ours = services.filter(([, service]) => service.build)

const help = (...command: string[]) =>
  execFileSync(process.execPath, ['bin/kvscope.mjs', ...command, '--help'], { encoding: 'utf8' })

describe('docker-compose.yml', () => {
  it.each(ours)('builds %s from a stage that the Dockerfile has', (_name, service) => {
    expect(dockerfile).toMatch(new RegExp(`^FROM .+ AS ${service.build?.target}$`, 'm'))
  })

  it.each(ours)('starts %s with a command and options that kvscope has', (_name, service) => {
    const [command = '', ...options] = service.command ?? []
    const text = help(command)
    expect(text).toContain(`kvscope ${command}`)
    for (const option of options) expect(text).toContain(option)
  })

  it.each(ours)('gives %s only variables that src/config.ts reads', (_name, service) => {
    const known = configVariables.map(({ name }) => name as string)
    expect(known).toEqual(expect.arrayContaining(Object.keys(service.environment ?? {})))
  })

  it.each(services)('waits in %s only for services and conditions that exist', (_name, service) => {
    for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
      const awaited = compose.services[name]
      expect(awaited, name).toBeDefined()
      if (condition === 'service_healthy') expect(awaited?.healthcheck, name).toBeDefined()
      if (condition === 'service_completed_successfully') expect(awaited?.command, name).toEqual(['migrate'])
    }
  })

  it.each(services)('mounts in %s only volumes it declares or folders of the host', (_name, service) => {
    for (const volume of service.volumes ?? []) {
      const source = volume.startsWith('$') ? './' : (volume.split(':')[0] ?? '')
      if (!source.startsWith('.')) expect(Object.keys(compose.volumes)).toContain(source)
    }
  })

  it('names in its addresses only services of its own', () => {
    const hosts = [...composeText.matchAll(/(?:postgresql|redis):\/\/(?:[^@\n]+@)?([a-z]+):\d+/g)].map(
      ([, host]) => host,
    )
    expect(hosts).toEqual(['postgres', 'valkey'])
    for (const host of hosts) expect(Object.keys(compose.services)).toContain(host)
  })

  it('publishes the API on loopback only, with tokens, and lets its own service name in', () => {
    const api = compose.services.api
    expect(api?.ports?.every((port) => port.startsWith('127.0.0.1:'))).toBe(true)
    expect(api?.environment?.KVSCOPE_TOKENS).toMatch(/^\$\{KVSCOPE_TOKENS:\?/)
    expect(api?.environment?.KVSCOPE_ALLOWED_HOSTS).toBe('api')
  })

  it('shows API and workers the models at one path', () => {
    for (const [name, service] of ours) {
      expect(service.environment?.KVSCOPE_MODEL_ROOTS, name).toBe('/models')
      expect(
        service.volumes?.some((volume) => volume.endsWith(':/models:ro')),
        name,
      ).toBe(true)
    }
  })

  it('gives every worker of the machine one host name, so that its runs compare', () => {
    const workers = ours.filter(([, service]) => service.command?.[0] === 'worker')
    expect(workers.length).toBe(2)
    for (const [, service] of workers) expect(service.hostname).toMatch(/^\$\{KVSCOPE_HOSTNAME:-kvscope\}$/)
  })

  it('has a healthcheck for everything that stays up', () => {
    for (const [name, service] of services)
      if (service.restart !== 'no') expect(service.healthcheck, name).toBeDefined()
  })

  it('starts the CUDA worker in the profile gpu only', () => {
    expect(compose.services['worker-cuda']?.profiles).toEqual(['gpu'])
  })
})

describe('the Dockerfile', () => {
  it('copies and runs only files that exist', () => {
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+)$/gm)].flatMap(([, words]) =>
      (words ?? '').split(' ').slice(0, -1),
    )
    const started = [...dockerfile.matchAll(/"((?:bin|src|tools)\/[^"]+)"/g)].map(([, path]) => path ?? '')
    expect(copied.length).toBeGreaterThan(0)
    for (const path of [...copied, ...started]) expect(existsSync(path), path).toBe(true)
  })

  it('runs only npm scripts that package.json has', () => {
    const scripts = JSON.parse(readFileSync('package.json', 'utf8')).scripts as Record<string, string>
    for (const [, name] of dockerfile.matchAll(/npm run ([a-z:]+)/g)) expect(Object.keys(scripts)).toContain(name)
  })

  it('compiles what it starts from its own sources, and leaves out what would compile them again', () => {
    expect(readFileSync('.dockerignore', 'utf8').split('\n')).toContain('dist')
    expect(dockerfile).toMatch(/^RUN npm run generate && npm prune --omit=dev && rm -rf (?:\S+ )*tools$/m)
    const started = readFileSync('bin/kvscope.mjs', 'utf8')
    expect([...started.matchAll(/import\('([^']+)'\)/g)].map(([, path]) => path)).toEqual(['../dist/src/cli/main.js'])
  })

  it('uses the install script that onnxruntime-node ships for CUDA', () => {
    const script = dockerfile.match(/node (node_modules\/onnxruntime-node\/\S+)/)?.[1] ?? ''
    expect(existsSync(script)).toBe(true)
    expect(readFileSync(script.replace('install.js', 'install-metadata.js'), 'utf8')).toContain('cuda12')
  })

  it('ends every stage that is started as a user without privileges', () => {
    const stages = dockerfile
      .split(/^FROM /m)
      .slice(1)
      .filter((stage) => stage.includes('ENTRYPOINT'))
    expect(stages.length).toBe(2)
    for (const stage of stages) expect(stage).toMatch(/^USER (?!root)\w+$/m)
  })
})
