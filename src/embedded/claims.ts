import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isAlive, ownIdentity, type ProcessIdentity } from './process-identity.ts'

/**
 * Claims: small files by which processes tell each other what they do with a data folder. Every claim is a file of its
 * own, named by what is claimed, and counts only while the process that wrote it lives. Nobody ever takes over another's
 * file, so there is no moment in which two can take over the same stale one.
 */
export interface Claim extends ProcessIdentity {
  /** Free text for whoever meets the claim: an address. */
  note: string
  /** True once the claimant has seen that nobody else holds the same. */
  confirmed: boolean
}

export interface HeldClaim {
  release(): Promise<void>
}

/** Writes a claim that does not exclude others. */
export async function addClaim(folder: string, kind: string, note = ''): Promise<HeldClaim> {
  const file = await writeClaim(folder, kind, note)
  return { release: () => rm(file.path, { force: true }) }
}

/** The claims of living processes; files of dead ones are removed. Synchronous: a process that is ending asks too. */
export function liveClaims(folder: string, kind: string): Claim[] {
  return readClaims(folder, kind).map(({ claim }) => claim)
}

/**
 * Claims something for this process alone. As everyone writes first and looks second, of two claimants at least one sees
 * the other: two never hold at once. Both may step back; they try again after a random pause.
 * @returns the claim, or whoever holds it once `waitMs` has passed
 */
export async function claimAlone(
  folder: string,
  kind: string,
  note: string,
  waitMs: number,
): Promise<{ held: HeldClaim } | { holder: Claim }> {
  const deadline = Date.now() + Math.max(waitMs, 0)
  for (let tries = 0; ; tries++) {
    const mine = await writeClaim(folder, kind, note)
    const others = readClaims(folder, kind)
      .filter(({ path }) => path !== mine.path)
      .map(({ claim }) => claim)
    if (others.length === 0) {
      await mine.confirm()
      return { held: { release: () => rm(mine.path, { force: true }) } }
    }
    await rm(mine.path, { force: true })
    const holder = others.find((claim) => claim.confirmed)
    if (holder && Date.now() >= deadline) return { holder }
    const stuck = others[0]
    if (stuck && Date.now() >= deadline && tries > 50) return { holder: stuck }
    await sleep(10 + Math.random() * 40)
  }
}

async function writeClaim(folder: string, kind: string, note: string) {
  await mkdir(folder, { recursive: true })
  const { pid, started } = ownIdentity()
  const name = `${kind}.${pid}.${randomBytes(4).toString('hex')}`
  const path = join(folder, `${name}.claim`)
  // Written beside and renamed: whoever lists the folder meets whole claims only.
  const put = async (confirmed: boolean) => {
    const draft = join(folder, `${name}.draft`)
    await writeFile(draft, JSON.stringify({ pid, started, note, confirmed } satisfies Claim), { mode: 0o644 })
    await rename(draft, path)
  }
  await put(false)
  return { path, confirm: () => put(true) }
}

function readClaims(folder: string, kind: string): { path: string; claim: Claim }[] {
  const found: { path: string; claim: Claim }[] = []
  for (const name of attempt(() => readdirSync(folder), [])) {
    if (!name.startsWith(`${kind}.`) || !name.endsWith('.claim')) continue
    const path = join(folder, name)
    const claim = parseClaim(attempt(() => readFileSync(path, 'utf8'), ''))
    if (claim && isAlive(claim)) found.push({ path, claim })
    else attempt(() => rmSync(path, { force: true }), undefined)
  }
  return found
}

/** Files come and go while they are read, and a reader may lack the right to remove a dead one's. */
function attempt<T>(action: () => T, otherwise: T): T {
  try {
    return action()
  } catch {
    return otherwise
  }
}

function parseClaim(text: string): Claim | null {
  try {
    const { pid, started, note, confirmed }: Partial<Record<keyof Claim, unknown>> = JSON.parse(text)
    if (typeof pid !== 'number') return null
    return {
      pid,
      started: typeof started === 'string' ? started : null,
      note: typeof note === 'string' ? note : '',
      confirmed: confirmed === true,
    }
  } catch {
    return null
  }
}
