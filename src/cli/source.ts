import { readFile, stat } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { type HubModel, parseHubModel } from '../checkpoints/hub-names.ts'
import { AppError } from '../errors.ts'
import type { ModelSource, RunnableSource } from '../jobs/spec.ts'
import type { CommandContext } from './command.ts'

/** A model as it is named on the command line, and the folders that its files may be read from. */
export interface NamedSource<Source> {
  source: Source
  roots: string[]
}

/**
 * A folder, `hub:ORG/NAME[@REVISION]` or a preset's name as a source that can run. What is a folder is taken for one: a
 * preset of the same name is reached from elsewhere.
 */
export async function runnableSource(model: string, seed = 0): Promise<NamedSource<RunnableSource>> {
  const hub = hubSource(model)
  return hub === null ? hereSource(model, seed) : { source: hub, roots: [] }
}

/**
 * The same with a hub model's folder in its place, downloaded where the cache lacks it.
 * @throws AppError as fetchSource does
 */
export async function fetchedSource(
  model: string,
  { config, terminal, signal }: Pick<CommandContext, 'config' | 'terminal' | 'signal'>,
): Promise<NamedSource<HereSource>> {
  const hub = hubSource(model)
  if (hub === null) return hereSource(model, 0)
  const { fetchSource } = await import('../jobs/hub-sources.ts')
  const pinned = { hub: { ...hub.hub, commit: null } }
  const path = await fetchSource(pinned, config.hub, terminal.progress, signal)
  terminal.endProgress()
  return { source: { local: { path } }, roots: [path] }
}

type HereSource = Exclude<RunnableSource, { hub: unknown }>

async function hereSource(model: string, seed: number): Promise<NamedSource<HereSource>> {
  const path = resolve(model)
  const found = await stat(path).catch(() => null)
  if (found?.isDirectory()) return { source: { local: { path } }, roots: [path] }
  if (found !== null || looksLikePath(model)) throw noFolder(model)
  return { source: { synthetic: { preset: model, seed, overrides: null } }, roots: [] }
}

/**
 * A model as a server is asked for it: what is a folder here too goes by its whole path, what looks like a path as it was
 * written, for the server may see other folders, and everything else is a preset's name.
 */
export async function serverSource(model: string, seed = 0): Promise<RunnableSource> {
  const hub = hubSource(model)
  if (hub !== null) return hub
  const path = resolve(model)
  const found = await stat(path).catch(() => null)
  if (found?.isDirectory()) return { local: { path } }
  if (looksLikePath(model)) return { local: { path: model } }
  return { synthetic: { preset: model, seed, overrides: null } }
}

/** A checkpoint that must not be a preset: a folder by its whole path, or `hub:ORG/NAME[@REVISION]`. */
export function checkpointSource(model: string): Exclude<RunnableSource, { synthetic: unknown }> {
  return hubSource(model) ?? { local: { path: resolve(model) } }
}

/**
 * The same once it is here: a hub model is downloaded where the cache lacks it.
 * @returns its folder, and `pinned`: the model by its commit, as a service is asked for it so that its runs say which it is
 * @throws AppError as pinModel and fetchSource do
 */
export async function fetchCheckpoint(
  model: string,
  { config, terminal, signal }: Pick<CommandContext, 'config' | 'terminal' | 'signal'>,
): Promise<{ folder: string; pinned: string }> {
  const hub = hubSource(model)
  if (hub === null) return { folder: resolve(model), pinned: model }
  const { fetchSource, pinSource } = await import('../jobs/hub-sources.ts')
  const source = await pinSource({ hub: { ...hub.hub, commit: null } }, config.hub, signal)
  const folder = await fetchSource(source, config.hub, terminal.progress, signal)
  terminal.endProgress()
  return { folder, pinned: `hub:${source.hub.repo}@${source.hub.commit}` }
}

/**
 * The same as runnableSource, or a bare config.json, which has sizes only. ORG/NAME where no such folder is stands for the
 * hub's model too: to look at one costs a few kB, so nothing great is fetched for a mistyped path.
 */
export async function anySource(model: string): Promise<NamedSource<ModelSource>> {
  const path = resolve(model)
  const found = await stat(path).catch(() => null)
  const hub = hubSource(model) ?? (found === null && isOrgAndName(model) ? { hub: parseHubModel(model) } : null)
  if (hub !== null) return { source: { hub: { ...hub.hub, commit: null } }, roots: [] }
  if (!found?.isFile()) return hereSource(model, 0)
  const config = parseConfig(await readFile(path, 'utf8'), model)
  return { source: { config: { _name_or_path: basename(path), ...config } }, roots: [] }
}

/** @throws AppError VALIDATION_FAILED where what follows `hub:` names no repository */
function hubSource(model: string): { hub: HubModel } | null {
  return model.startsWith('hub:') ? { hub: parseHubModel(model.slice('hub:'.length)) } : null
}

function parseConfig(text: string, model: string): Record<string, never> {
  try {
    const config: unknown = JSON.parse(text)
    if (typeof config === 'object' && config !== null && !Array.isArray(config)) return { ...config }
  } catch (cause) {
    throw new AppError(
      'CHECKPOINT_INVALID',
      `${model} is not JSON`,
      'Give a config.json, a folder or the name of a preset.',
      cause,
    )
  }
  throw new AppError(
    'CHECKPOINT_INVALID',
    `${model} holds no JSON object`,
    'Give a config.json, a folder or the name of a preset.',
  )
}

/** `tiiuae/falcon-40b`, `org/name@revision`, and no path that says that it is one. */
function isOrgAndName(model: string): boolean {
  return /^[A-Za-z0-9][\w.-]*\/[\w.-]+(@[\w./+-]+)?$/.test(model) && !model.endsWith('.json')
}

/** Names of presets hold neither. */
function looksLikePath(model: string): boolean {
  return /[\\/]/.test(model) || model.endsWith('.json') || model.startsWith('.')
}

function noFolder(model: string): AppError {
  return new AppError(
    'NOT_FOUND',
    `${model} is no folder`,
    'Give the folder of a checkpoint, hub:ORG/NAME or the name of a preset.',
  )
}
