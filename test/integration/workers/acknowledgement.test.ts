import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { readConfig } from '../../../src/config.ts'
import { parseSpec } from '../../../src/jobs/spec.ts'
import type { ChildMessage } from '../../../src/workers/messages.ts'
import { startChild } from '../../../src/workers/start-child.ts'
import { until } from '../../support/processes.ts'
import { tinySpec } from '../../support/tiny-spec.ts'

/** Processes start slowly on a busy machine. */
vi.setConfig({ testTimeout: 120_000 })

const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-acknowledgement-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

describe('the child of an execution', () => {
  it('says nothing more until its message is acknowledged, up to its end', async () => {
    const heard: { message: ChildMessage; acknowledge: () => void }[] = []
    const spec = parseSpec(tinySpec({ blocks: 5 }))
    const child = startChild(
      { type: 'start', spec, dataDir, modelRoots: [], hub: readConfig({}).hub, maxResultBytes: 1e9 },
      (message, acknowledge) => heard.push({ message, acknowledge }),
    )
    let ended = false
    void child.ended.then(() => {
      ended = true
    })

    for (let answered = 0; heard.at(-1)?.message.type !== 'outcome'; ) {
      heard[answered - 1]?.acknowledge()
      await until('the child says something', () => heard.length > answered || ended)
      // Long enough for the next message of a child that does not wait.
      if (answered < 12) await setTimeout(100)
      expect(heard).toHaveLength(answered + 1)
      answered += 1
    }
    await setTimeout(300)
    expect(ended).toBe(false)
    heard.at(-1)?.acknowledge()
    expect(await child.ended).toEqual({ code: 0, signal: null })
    expect(heard.filter(({ message }) => message.type === 'series')).toHaveLength(4)
  })
})
