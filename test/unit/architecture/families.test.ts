import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { familyOf, runnableFamilies } from '../../../src/architecture/families.ts'
import { families } from '../../../src/models/registry.ts'
import { packageFile } from '../../../src/package-folder.ts'

it('calls runnable exactly the families that the engine has a graph for', () => {
  expect(runnableFamilies).toEqual(families.map(({ family }) => family))
})

it('describes every model_type of a family in docs/families.md', () => {
  const page = readFileSync(packageFile('docs/families.md'), 'utf8')
  for (const family of runnableFamilies) {
    for (const type of familyOf({ family }).modelTypes) expect(page).toContain(`\`${type}\``)
  }
})
