#!/usr/bin/env node
// What `npx kvscope` runs. A package and an image hold the compiled program; a checkout may have newer sources.
import { existsSync } from 'node:fs'

const starter = new URL('../tools/prepare.mjs', import.meta.url)
if (existsSync(starter)) {
  const { prepareFiles } = await import(starter.href)
  await prepareFiles()
}
await import('../dist/src/cli/main.js')
