import { expect, it } from 'vitest'
import { runnableFamilies } from '../../../src/architecture/families.ts'
import { families } from '../../../src/models/registry.ts'

it('calls runnable exactly the families that the engine has a graph for', () => {
  expect(runnableFamilies).toEqual(families.map(({ family }) => family))
})
