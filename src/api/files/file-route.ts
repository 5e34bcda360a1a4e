import type { Request, Response, Router } from 'express'
import { z } from 'zod'
import type { RunRow } from '../../db/rows.ts'
import { noSuchRun } from '../../db/run-id.ts'
import { findRuns } from '../../db/run-parts.ts'
import { AppError } from '../../errors.ts'
import type { RunKind } from '../../jobs/glossary.ts'
import type { Services } from '../context.ts'
import { cachingOf, isKnown, refuseOtherAttempt } from './caching.ts'
import type { Drawing } from './drawing.ts'
import { type RunFile, sendFile } from './send-file.ts'

/** One address under `/runs/:id`, and what answers it. */
export interface FileRoute<Place extends z.ZodType, Options extends z.ZodType<object>> {
  /** as Express has it, such as `/attention/:prompt/overview.u8` */
  path: string
  /** kinds of runs that have it; others are NOT_FOUND */
  kinds: readonly RunKind[]
  /** the parameters of the path; one that does not fit is NOT_FOUND */
  place: Place
  /** what follows the question mark, of `fileOptions` where it may be kept; what does not fit is VALIDATION_FAILED */
  options: Options
  answer(asked: AskedFile<z.output<Place>, z.output<Options>>): Promise<RunFile>
}

/** What answering takes: the API's services, and the thread that draws. */
export interface FileServices extends Services {
  drawing: Drawing
}

export interface AskedFile<Place, Options> {
  services: FileServices
  /** what is shown is of its latest attempt */
  run: RunRow
  place: Place
  options: Options
}

/** An index in an address. */
export const wholeNumber = z
  .string({ error: 'give it once' })
  .regex(/^(0|[1-9]\d{0,6})$/, { error: 'it is no whole number from 0 to 9999999' })
  .transform(Number)

/** Options of an address; `attempt` names the attempt whose results are meant, and lets them be kept. */
export function fileOptions<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject({ attempt: wholeNumber.optional(), ...shape })
}

/** Serves an address of a run: finds the run, parses every parameter, and answers 304 where nothing can have changed. */
export function serveFile<Place extends z.ZodType, Options extends z.ZodType<object>>(
  router: Router,
  services: FileServices,
  route: FileRoute<Place, Options>,
): void {
  router.get(`/:id${route.path}`, async (request: Request, response: Response) => {
    const place = route.place.safeParse(request.params)
    if (!place.success) throw nothingAt(request)
    const options = parseOptions(route.options, request.query)
    const id = String(request.params.id)
    const run = (await findRuns(services.db, [id])).get(id.toLowerCase())
    if (run === undefined) throw noSuchRun(id)
    if (!route.kinds.includes(run.kind)) throw otherKind(run)
    const attempt = 'attempt' in options && typeof options.attempt === 'number' ? options.attempt : null
    refuseOtherAttempt(run, attempt)
    const caching = cachingOf(run, attempt)
    if (isKnown(request, caching))
      return void response
        .set({ ...caching })
        .status(304)
        .end()
    const file = await route.answer({ services: drawWhileWanted(services, response), run, place: place.data, options })
    await sendFile(request, response, file, caching, services.log)
  })
}

/** Nothing is drawn for a client that went away while its picture waited. */
export function drawWhileWanted(services: FileServices, response: Response): FileServices {
  const { drawing } = services
  return { ...services, drawing: { ...drawing, draw: (asked) => drawing.draw(asked, () => !response.destroyed) } }
}

/** @throws AppError VALIDATION_FAILED naming the first option that does not fit, and its value */
export function parseOptions<Options extends z.ZodType>(schema: Options, given: Request['query']): z.output<Options> {
  const parsed = schema.safeParse(given)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  if (issue?.code === 'unrecognized_keys') {
    throw new AppError('VALIDATION_FAILED', `the address has no option ${quoted(issue.keys[0])}`, 'README lists them.')
  }
  const name = String(issue?.path[0] ?? 'an option')
  throw new AppError(
    'VALIDATION_FAILED',
    `${name} is ${quoted(given[name])}: ${issue?.message ?? 'it does not fit'}`,
    `Mend ${name} and ask again.`,
  )
}

const quoted = (value: unknown) => JSON.stringify(value)?.slice(0, 100) ?? 'missing'

function nothingAt(request: Request): AppError {
  return new AppError(
    'NOT_FOUND',
    `no run has anything at ${request.path.slice(0, 200)}`,
    'Layers, heads and prompts are whole numbers from 0; GraphQL gives the addresses.',
  )
}

function otherKind({ id, kind }: RunRow): AppError {
  return new AppError('NOT_FOUND', `run ${id} is ${kind}, which has nothing at this address`)
}
