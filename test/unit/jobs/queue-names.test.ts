import { describe, expect, it } from 'vitest'
import { commonQueue, queueName, queuesOfWorker } from '../../../src/jobs/queue-names.ts'

const onHost = (placedHostname: string) => queueName({ device: 'CPU', placedHostname, placedWorkerId: null })

describe('queueName', () => {
  it('is the device for runs that are placed nowhere, as before there were placements', () => {
    expect(queueName(commonQueue('DIRECTML'))).toBe('kvscope-directml')
  })

  it('keeps the readable part of a host name, and nothing that BullMQ refuses', () => {
    expect(onHost('gpu-1.lab')).toMatch(/^kvscope-cpu-host-gpu-1\.lab-[0-9a-f]{16}$/)
    expect(onHost('a:b/c d')).toMatch(/^kvscope-cpu-host-a_b_c_d-[0-9a-f]{16}$/)
    expect(onHost('x'.repeat(255)).length).toBeLessThan(80)
  })

  it('differs for host names that look alike once they are made readable', () => {
    const names = ['a:b', 'a_b', 'a b', 'A_b', `${'x'.repeat(60)}1`, `${'x'.repeat(60)}2`].map(onHost)
    expect(new Set(names).size).toBe(names.length)
  })

  it('is the same for a worker however its id is written', () => {
    const of = (placedWorkerId: string) => queueName({ device: 'CPU', placedHostname: null, placedWorkerId })
    expect(of('0199AB00-0000-7000-8000-000000000001')).toBe(of('0199ab00-0000-7000-8000-000000000001'))
  })
})

describe('queuesOfWorker', () => {
  it('names three for each device that the worker offers', () => {
    const queues = queuesOfWorker({ id: 'id', hostname: 'lab', devices: ['CPU', 'CUDA'] })
    expect(queues).toContainEqual({ device: 'CUDA', placedHostname: 'lab', placedWorkerId: null })
    expect(queues).toContainEqual({ device: 'CUDA', placedHostname: null, placedWorkerId: 'id' })
    expect(queues).toContainEqual(commonQueue('CPU'))
    expect(new Set(queues.map(queueName)).size).toBe(6)
  })
})
