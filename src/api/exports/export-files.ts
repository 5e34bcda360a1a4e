import type { Router } from 'express'
import { z } from 'zod'
import { runKinds } from '../../jobs/glossary.ts'
import { type FileServices, serveFile } from '../files/file-route.ts'
import type { RunFile } from '../files/send-file.ts'
import { openRun } from './open-run.ts'
import type { ExportServices, RunContents } from './run-contents.ts'
import { isFinished, readMetadata, writeJson } from './write-json.ts'
import { writeNpz } from './write-npz.ts'
import { writeSafetensors } from './write-safetensors.ts'

const formats = {
  json: async ({ db }, contents) => ({
    type: 'application/json; charset=utf-8',
    body: encode(writeJson(db, contents, true)),
  }),
  csv: async (_services, contents) => ({
    type: 'text/csv; charset=utf-8; header=present',
    body: encode(contents.records()),
  }),
  npz: async ({ db }, contents) => {
    const { length, body } = writeNpz(contents.arrays, await readMetadata(db, contents), contents.run.queuedAt)
    return { type: 'application/zip', body: body(), length }
  },
  safetensors: async ({ db }, contents) => {
    const { id, kind, status } = contents.run
    const metadata = { format: 'kvscope', run: id, kind, status, json: await readMetadata(db, contents) }
    const { length, body } = writeSafetensors(contents.arrays, metadata)
    return { type: 'application/x-safetensors', body: body(), length }
  },
} as const satisfies Record<string, (services: ExportServices, contents: RunContents) => Promise<RunFile>>

const formatNames = ['json', 'csv', 'npz', 'safetensors'] as const satisfies readonly (keyof typeof formats)[]

/**
 * Everything that a run's latest attempt has stored, as one file. It may not be kept: labels and notes change after a run
 * has ended, and so its address takes no attempt.
 */
export function serveExports(router: Router, services: FileServices & ExportServices): void {
  serveFile(router, services, {
    path: '/export.:format',
    kinds: runKinds,
    place: z.object({ format: z.enum(formatNames) }),
    options: z.strictObject({}),
    async answer({ run, place: { format } }) {
      const contents = await openRun(services, run)
      const unfinished = isFinished(run) ? '' : '-unfinished'
      const file = await formats[format](services, contents)
      return { ...file, name: `kvscope-${run.id}${unfinished}.${format}`, attached: true }
    },
  })
}

async function* encode(text: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder()
  for await (const piece of text) yield encoder.encode(piece)
}
