import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { AppError } from './errors.ts'

/** One row of the configuration table: the variable, its default as text, and what it means. README prints these. */
export interface ConfigVariable {
  name: string
  default: string
  meaning: string
}

export interface Token {
  name: string
  secret: string
}

/** The Hugging Face hub as Python's huggingface_hub is told of it, by the same variables. */
export interface HubSettings {
  /** origin and path, without a slash at the end */
  readonly endpoint: string
  /** null: what `tokenFile` holds, or nothing */
  readonly token: string | null
  /** where `hf auth login` of Python leaves its token */
  readonly tokenFile: string
  /** folder of the cache that is shared with Python: models--ORG--NAME/{blobs,refs,snapshots} */
  readonly cacheDir: string
  /** nothing is asked of the hub: the cache alone serves */
  readonly offline: boolean
}

export interface Config {
  /** null: the embedded PostgreSQL of the data folder */
  readonly databaseUrl: string | null
  /** null: the queue lives in the same PostgreSQL as the results */
  readonly redisUrl: string | null
  readonly port: number
  readonly host: string
  /** Names that the Host header may carry besides loopback's. */
  readonly allowedHosts: readonly string[]
  readonly dataDir: string
  readonly modelRoots: readonly string[]
  readonly hub: HubSettings
  readonly tokens: readonly Token[]
  readonly deviceTimeoutMs: number
  readonly runTimeoutMs: number
  readonly maxResultBytes: number
  readonly queueLockMs: number
  readonly queueCheckMs: number
  readonly sweepMs: number
  readonly heartbeatMs: number
  readonly logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'
  readonly colour: boolean
  /** What the terminal says of its colours; null where it says nothing. */
  readonly colorterm: string | null
}

export const configVariables = [
  {
    name: 'DATABASE_URL',
    default: '(embedded)',
    meaning: 'PostgreSQL to use; unset: kvscope starts its own in the data folder',
  },
  {
    name: 'REDIS_URL',
    default: '(PostgreSQL)',
    meaning: 'Redis or Valkey for the queue; unset: the queue lives in the same PostgreSQL',
  },
  { name: 'PORT', default: '4000', meaning: 'port of the API' },
  {
    name: 'KVSCOPE_HOST',
    default: '127.0.0.1',
    meaning: 'address the API binds to; anything but loopback needs KVSCOPE_TOKENS',
  },
  {
    name: 'KVSCOPE_ALLOWED_HOSTS',
    default: '(loopback names)',
    meaning: 'comma-separated host names that requests may name besides loopback',
  },
  { name: 'KVSCOPE_DATA_DIR', default: '.kvscope', meaning: 'folder of the database, synthetic weights and pictures' },
  {
    name: 'KVSCOPE_MODEL_ROOTS',
    default: 'models',
    meaning: 'folders that local checkpoints may be read from, separated as in PATH',
  },
  { name: 'HF_ENDPOINT', default: 'https://huggingface.co', meaning: 'hub that hub:ORG/NAME is asked of' },
  {
    name: 'HF_TOKEN',
    default: '(token in HF_HOME)',
    meaning: 'token for gated and private repositories; it is sent to HF_ENDPOINT only and never logged',
  },
  {
    name: 'HF_HOME',
    default: '~/.cache/huggingface',
    meaning: "folder of Hugging Face's token and cache; below XDG_CACHE_HOME where that is set",
  },
  { name: 'HF_HUB_CACHE', default: '(hub in HF_HOME)', meaning: 'cache of downloaded models, shared with Python' },
  {
    name: 'HF_HUB_OFFLINE',
    default: '0',
    meaning: '1, ON, YES or TRUE: nothing is asked of the hub, and what is not in the cache is refused',
  },
  {
    name: 'KVSCOPE_TOKENS',
    default: '(none)',
    meaning: 'comma-separated name:secret pairs that clients authenticate with',
  },
  {
    name: 'KVSCOPE_DEVICE_TIMEOUT_SECONDS',
    default: '60',
    meaning: 'how long a run waits for a worker that offers its device',
  },
  { name: 'KVSCOPE_RUN_TIMEOUT_SECONDS', default: '3600', meaning: 'how long one attempt at a run may take' },
  {
    name: 'KVSCOPE_MAX_RESULT_BYTES',
    default: '4294967296',
    meaning: 'bytes of attention maps or weight slices that one run may store',
  },
  { name: 'KVSCOPE_QUEUE_LOCK_SECONDS', default: '15', meaning: "how long a silent worker keeps a queue's job" },
  {
    name: 'KVSCOPE_QUEUE_CHECK_SECONDS',
    default: '10',
    meaning: 'how often the queue looks for jobs of silent workers',
  },
  {
    name: 'KVSCOPE_SWEEP_SECONDS',
    default: '5',
    meaning: 'how often lost messages, dead workers and left-over rows are looked for',
  },
  { name: 'KVSCOPE_HEARTBEAT_SECONDS', default: '2', meaning: 'how often a worker says that it lives' },
  { name: 'KVSCOPE_LOG_LEVEL', default: 'info', meaning: 'fatal, error, warn, info, debug, trace or silent' },
  {
    name: 'COLORTERM',
    default: '(unset)',
    meaning: 'truecolor or 24bit, as terminals set it: pictures in a terminal have all colours, else 256',
  },
  { name: 'NO_COLOR', default: '(unset)', meaning: 'set to anything: no colours in a terminal' },
] as const satisfies readonly ConfigVariable[]

const seconds = (fallback: number) =>
  z.coerce
    .number()
    .positive()
    .default(fallback)
    .transform((value) => value * 1000)
const list = (separator: string) =>
  z.string().transform((text) =>
    text
      .split(separator)
      .map((part) => part.trim())
      .filter(Boolean),
  )
const pathSeparator = process.platform === 'win32' ? ';' : ':'

const token = z.string().transform((text, context): Token => {
  const colon = text.indexOf(':')
  const secret = text.slice(colon + 1)
  if (colon < 1 || secret.length < 16) {
    context.addIssue({ code: 'custom', message: 'each is name:secret, the secret at least 16 characters long' })
  }
  return { name: text.slice(0, colon), secret }
})

const environment = z.object({
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).optional(),
  PORT: z.coerce.number().int().min(0).max(65_535).default(4000),
  KVSCOPE_HOST: z.string().default('127.0.0.1'),
  KVSCOPE_ALLOWED_HOSTS: list(',').default([]),
  KVSCOPE_DATA_DIR: z.string().default('.kvscope'),
  KVSCOPE_MODEL_ROOTS: list(pathSeparator).default(['models']),
  HF_ENDPOINT: z.url({ protocol: /^https?$/ }).default('https://huggingface.co'),
  HF_TOKEN: z.string().optional(),
  HF_HOME: z.string().optional(),
  XDG_CACHE_HOME: z.string().optional(),
  HF_HUB_CACHE: z.string().optional(),
  HF_HUB_OFFLINE: z.string().default('0'),
  KVSCOPE_TOKENS: list(',').pipe(z.array(token)).default([]),
  KVSCOPE_DEVICE_TIMEOUT_SECONDS: seconds(60),
  KVSCOPE_RUN_TIMEOUT_SECONDS: seconds(3600),
  KVSCOPE_MAX_RESULT_BYTES: z.coerce
    .number()
    .int()
    .positive()
    .max(Number.MAX_SAFE_INTEGER)
    .default(2 ** 32),
  KVSCOPE_QUEUE_LOCK_SECONDS: seconds(15),
  KVSCOPE_QUEUE_CHECK_SECONDS: seconds(10),
  KVSCOPE_SWEEP_SECONDS: seconds(5),
  KVSCOPE_HEARTBEAT_SECONDS: seconds(2),
  KVSCOPE_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  COLORTERM: z.string().optional(),
  NO_COLOR: z.string().optional(),
})

/**
 * Reads the environment once into a frozen Config. An empty variable counts as unset.
 * @throws AppError VALIDATION_FAILED naming the variable; secrets are never repeated
 */
export function readConfig(source: NodeJS.ProcessEnv = process.env): Config {
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== undefined && value !== ''))
  const parsed = environment.safeParse(given)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    const name = String(issue?.path[0] ?? 'environment')
    throw new AppError('VALIDATION_FAILED', `${name}: ${issue?.message}`, 'See the configuration table in README.md.')
  }
  const e = parsed.data
  return Object.freeze({
    databaseUrl: e.DATABASE_URL ?? null,
    redisUrl: e.REDIS_URL ?? null,
    port: e.PORT,
    host: e.KVSCOPE_HOST,
    allowedHosts: e.KVSCOPE_ALLOWED_HOSTS,
    dataDir: resolve(e.KVSCOPE_DATA_DIR),
    modelRoots: e.KVSCOPE_MODEL_ROOTS.map((root) => resolve(root)),
    hub: hubSettings(e),
    tokens: e.KVSCOPE_TOKENS,
    deviceTimeoutMs: e.KVSCOPE_DEVICE_TIMEOUT_SECONDS,
    runTimeoutMs: e.KVSCOPE_RUN_TIMEOUT_SECONDS,
    maxResultBytes: e.KVSCOPE_MAX_RESULT_BYTES,
    queueLockMs: e.KVSCOPE_QUEUE_LOCK_SECONDS,
    queueCheckMs: e.KVSCOPE_QUEUE_CHECK_SECONDS,
    sweepMs: e.KVSCOPE_SWEEP_SECONDS,
    heartbeatMs: e.KVSCOPE_HEARTBEAT_SECONDS,
    logLevel: e.KVSCOPE_LOG_LEVEL,
    colour: e.NO_COLOR === undefined,
    colorterm: e.COLORTERM ?? null,
  })
}

/** As huggingface_hub's constants.py reads them, `~` and a token with a line's end included. */
function hubSettings(e: z.infer<typeof environment>): HubSettings {
  const home = expandHome(e.HF_HOME ?? join(e.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface'))
  return Object.freeze({
    endpoint: e.HF_ENDPOINT.replace(/\/+$/, ''),
    token: e.HF_TOKEN?.trim() || null,
    tokenFile: join(home, 'token'),
    cacheDir: expandHome(e.HF_HUB_CACHE ?? join(home, 'hub')),
    offline: /^(1|on|yes|true)$/i.test(e.HF_HUB_OFFLINE),
  })
}

function expandHome(path: string): string {
  return resolve(/^~(?=$|[\\/])/.test(path) ? join(homedir(), path.slice(1)) : path)
}

/**
 * Variables that a child process needs to start, find its libraries and its accelerator, and by which whoever started it
 * knows it as its own; none of them is a secret.
 */
const childVariables =
  /^(PATH|HOME|USERPROFILE|TMPDIR|TEMP|TMP|SYSTEMROOT|LANG|LC_ALL|TZ|NODE_OPTIONS|(DY)?LD_LIBRARY_PATH|((CUDA|NVIDIA|VK|ORT|OMP|MESA|DAWN|LVP|GALLIUM|XDG)_\w+)|KVSCOPE_(DATA_DIR|TEST_RUN))$/i

/** The part of the environment that is passed to a process that runs models: enough to start, nothing secret. */
export function readChildEnvironment(source: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(source).filter(([name]) => childVariables.test(name)))
}

/** The whole environment with some variables replaced, for a service process that reads its own configuration. */
export function serviceEnvironment(
  replaced: Record<string, string>,
  source: NodeJS.ProcessEnv = process.env,
): NodeJS.ProcessEnv {
  return { ...source, ...replaced }
}
