import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, hostname, loadavg, platform, release, totalmem } from 'node:os'
import { packageFile } from '../package-folder.ts'
import { physicalCores } from './physical-cores.ts'
import type { Environment } from './result.ts'

/**
 * Raise it with every change of kvscope that changes what a trial takes or what of it is timed: comparisons across two of
 * them are then NOT_COMPARABLE.
 */
const timingVersion = 2

/** The machine as it is before the work; `finishEnvironment` adds how busy it was after. */
export type EnvironmentAtStart = Omit<Environment, 'loadAtEnd'>

export function readEnvironment(): EnvironmentAtStart {
  return {
    hostname: hostname(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: physicalCores(),
    memoryBytes: totalmem(),
    os: `${platform()} ${release()}`,
    node: process.versions.node,
    onnxruntime: versionOf(createRequire(import.meta.url).resolve('onnxruntime-node/package.json')),
    kvscope: versionOf(packageFile('package.json')),
    loadAtStart: oneMinuteLoad(),
    timingVersion,
    bounds: null,
  }
}

export function finishEnvironment(start: EnvironmentAtStart): Environment {
  return { ...start, loadAtEnd: oneMinuteLoad() }
}

/** Processes that wanted a processor, on average over the last minute; 0 on Windows, which keeps no such figure. */
function oneMinuteLoad(): number {
  return loadavg()[0] ?? 0
}

function versionOf(packageJson: string): string {
  const { version }: { version?: unknown } = JSON.parse(readFileSync(packageJson, 'utf8'))
  return String(version)
}
