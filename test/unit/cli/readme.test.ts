import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { configVariables } from '../../../src/config.ts'

it("has README's configuration table say what src/config.ts does", () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8')
  const [, body = ''] = /\| *Variable *\| *Default *\| *Meaning *\|\n\|[-| :]+\|\n((?:\|.*\n)+)/.exec(readme) ?? []
  const rows = body
    .trim()
    .split('\n')
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('`', '')),
    )
  expect(rows).toEqual(configVariables.map(({ name, default: otherwise, meaning }) => [name, otherwise, meaning]))
})
