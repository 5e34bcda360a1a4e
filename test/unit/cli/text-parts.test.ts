import { expect, it } from 'vitest'
import { placementLines } from '../../../src/cli/text-parts.ts'

it('says where a run is placed, and nothing where anybody may take it', () => {
  expect(placementLines({ placement: { hostname: 'lab-1', workerId: null } })).toEqual(['placed on host lab-1'])
  expect(placementLines({ placement: { hostname: null, workerId: '0193a1b2' } })).toEqual(['placed on worker 0193a1b2'])
  expect(placementLines({ placement: null })).toEqual([])
})
