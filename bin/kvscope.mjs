#!/usr/bin/env node
// What `npx kvscope` runs. A package and an image hold the compiled program; a checkout may have newer sources.
import { existsSync } from 'node:fs'

const starter = new URL('../tools/prepare.mjs', import.meta.url)
try {
  if (existsSync(starter)) await (await import(starter.href)).prepareFiles()
} catch (error) {
  console.error(error instanceof Error && error.cause === 'told' ? error.message : error)
  process.exit(1)
}
await import('../dist/src/cli/main.js')
