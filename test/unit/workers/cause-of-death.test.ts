import { describe, expect, it } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import { causeOfDeath, type Death, describeFailure } from '../../../src/workers/cause-of-death.ts'

const killed: Death = { code: null, signal: 'SIGKILL', timedOutAfterMs: null, oomKills: 0, log: null }

describe('the cause of death of a child', () => {
  it('is a crash when nothing says that memory ran out, naming the signal', () => {
    expect(causeOfDeath(killed)).toMatchObject({ code: 'WORKER_CRASHED', message: expect.stringContaining('SIGKILL') })
  })

  it('is a crash with the exit code when the process ended by itself', () => {
    const error = causeOfDeath({ ...killed, code: 134, signal: null })
    expect(error).toMatchObject({ code: 'WORKER_CRASHED', message: expect.stringContaining('exit code 134') })
  })

  it('is memory when the kernel counted a kill in the control group meanwhile', () => {
    expect(causeOfDeath({ ...killed, oomKills: 1 }).code).toBe('OUT_OF_MEMORY')
  })

  it('is no memory when another signal ended the child while the kernel killed someone else', () => {
    expect(causeOfDeath({ ...killed, signal: 'SIGSEGV', oomKills: 1 }).code).toBe('WORKER_CRASHED')
  })

  it('is time when the parent ended it, and says how long that was', () => {
    const error = causeOfDeath({ ...killed, timedOutAfterMs: 1500, oomKills: 1 })
    expect(error).toMatchObject({ code: 'TIMED_OUT', message: expect.stringContaining('1.5 s') })
  })
})

describe('what a child says of an error', () => {
  it('passes on an error that has a code', () => {
    const error = new AppError('CONTEXT_EXCEEDED', 'nine tokens into eight', 'shorten it')
    expect(describeFailure(error)).toEqual({
      code: 'CONTEXT_EXCEEDED',
      message: 'nine tokens into eight',
      hint: 'shorten it',
    })
  })

  it.each([
    'Failed to allocate memory for requested buffer of size 4294967296',
    'Non-zero status code returned while running MatMul: std::bad_alloc',
    'Array buffer allocation failed',
  ])('takes "%s" for want of memory', (message) => {
    expect(describeFailure(new Error(message)).code).toBe('OUT_OF_MEMORY')
  })

  it('takes anything else for a fault of kvscope', () => {
    expect(describeFailure(new TypeError('x is not a function'))).toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('x is not a function'),
    })
  })
})
