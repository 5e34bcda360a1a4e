import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { findLeakedProcesses, testRunVariable } from '../../support/leaked-processes.ts'

describe.runIf(process.platform === 'linux')('findLeakedProcesses', () => {
  it('finds a process that carries the mark of the run, its own children too, until they end', async () => {
    const runId = 'a run of this test alone'
    const shell = spawn('/bin/sh', ['-c', 'sleep 60 & echo started; wait'], {
      env: { [testRunVariable]: runId, PATH: process.env.PATH },
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(shell.stdout, 'data')
    // The shell's own child is a copy of the shell until it has become "sleep".
    const commands = async () => (await findLeakedProcesses(runId, 0)).map(({ command }) => command)
    await expect.poll(commands).toEqual([expect.stringContaining('sleep 60 &'), 'sleep 60'])
    expect(await findLeakedProcesses('another run', 0)).toEqual([])
    if (shell.pid !== undefined) process.kill(-shell.pid, 'SIGKILL')
    await once(shell, 'exit')
    expect(await findLeakedProcesses(runId, 2_000)).toEqual([])
  })
})
